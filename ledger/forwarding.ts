/**
 * Orders that another hub must log, because it clears for the account: sent to it, and its answer given to the caller.
 *
 * Every order carries its own natural key, so one that was asked twice is one entry; an answer that is lost costs a
 * repetition and nothing else. The answer comes when the entry is on two disks, and the caller sees it when it is in the
 * state of this hub too, or a moment later where the copy takes longer.
 */
import { toHex } from '../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import type { HubAnswer, HubRequest } from '../protocol/messages/ledger-rights.ts'
import type { Clock, Random } from '../protocol/ports.ts'
import { fromWireError } from '../protocol/wire-error.ts'
import type { HubMessage } from './hub/events.ts'

export type AskMessage = Extract<HubMessage, { t: 'ask' | 'answer' }>

export interface ForwardingComponents {
  readonly clock: Clock
  readonly random: Random
  readonly send: (hub: number, message: HubMessage) => void
  readonly connected: (hub: number) => boolean
  /** Logs what another hub asks for, and never asks a third one. Resolves when it is replicated. */
  readonly serve: (request: HubRequest) => Promise<HubAnswer>
  readonly hubNames: readonly string[]
}

export interface ForwardingOptions {
  /** Default 5,000 ms: the other hub gives up after 2,000. */
  readonly askMsMax?: number
  /** Orders on their way, and those of one other hub that are being served. Default 1,024. */
  readonly asksMax?: number
}

export const forwardingDefaults = Object.freeze({ askMsMax: 5_000, asksMax: 1_024 }) satisfies Required<ForwardingOptions>

export interface Forwarding {
  /** Throws what the other hub answers, NOT_HOME where it cannot be reached, HUB_ISOLATED where it does not answer, QUEUE_FULL. */
  ask(hub: number, request: HubRequest): Promise<HubAnswer>
  receive(hub: number, message: AskMessage): void
  disconnected(hub: number): void
}

interface Pending {
  readonly hub: number
  readonly settle: (answer: HubAnswer | TriforceError) => void
}

const ID_BYTES = 16
const DETAIL_CHARS_MAX = 1_024

export function createForwarding({ clock, random, send, connected, serve, hubNames }: ForwardingComponents, options: ForwardingOptions = {}): Forwarding {
  const { askMsMax, asksMax } = { ...forwardingDefaults, ...options }
  const pending = new Map<string, Pending>()
  const serving = new Map<number, number>()

  function unreachable(hub: number): TriforceError {
    return new TriforceError('NOT_HOME', { hub }, {
      detail: `hub "${hubNames[hub] ?? hub}" logs this for the account, and it is not connected: repeat the order later, or give it to that hub. `
        + 'Repeating it is safe',
    })
  }

  async function answer(hub: number, id: Uint8Array, request: HubRequest): Promise<void> {
    const count = serving.get(hub) ?? 0
    serving.set(hub, count + 1)
    try {
      if (count >= asksMax) throw new TriforceError('QUEUE_FULL', { queue: 'asks' })
      const { hub: author, epoch, frame, seq, known } = await serve(request)
      send(hub, { t: 'answer', id, done: { hub: author, epoch, frame, seq, known } })
    } catch (cause) {
      const error = toTriforceError(cause)
      // What went wrong inside this hub is nobody else's business.
      const detail = error.code === 'INTERNAL' ? '' : error.message.slice(0, DETAIL_CHARS_MAX)
      send(hub, { t: 'answer', id, error: { code: error.code, detail, ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }) } })
    } finally {
      serving.set(hub, serving.get(hub)! - 1)
    }
  }

  return {
    ask: (hub, request) => {
      if (!connected(hub)) return Promise.reject(unreachable(hub))
      if (pending.size >= asksMax) return Promise.reject(new TriforceError('QUEUE_FULL', { queue: 'asks' }))
      return new Promise((resolve, reject) => {
        const id = random.bytes(ID_BYTES)
        const cancel = clock.after(askMsMax, () => {
          settle(new TriforceError('HUB_ISOLATED', { hub }, {
            detail: `hub "${hubNames[hub] ?? hub}" logs this for the account and did not answer within ${askMsMax} ms; it may have logged it. `
              + 'Repeating the same order is safe',
          }))
        })
        const settle = (result: HubAnswer | TriforceError) => {
          cancel()
          pending.delete(toHex(id))
          if (result instanceof Error) reject(result)
          else resolve(result)
        }
        pending.set(toHex(id), { hub, settle })
        send(hub, { t: 'ask', id, request })
      })
    },

    receive: (hub, message) => {
      if (message.t === 'ask') {
        void answer(hub, message.id, message.request)
        return
      }
      const asked = pending.get(toHex(message.id))
      // Too late, or never asked of this hub.
      if (asked?.hub !== hub) return
      if (message.done !== undefined) asked.settle(message.done)
      else asked.settle(fromWireError(message.error ?? { code: 'INTERNAL', detail: '' }))
    },

    disconnected: (hub) => {
      for (const asked of pending.values()) if (asked.hub === hub) asked.settle(unreachable(hub))
    },
  }
}
