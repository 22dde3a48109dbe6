/**
 * Registers this machine at every hub, and keeps it registered: when a hub connects, when the machine or what it offers
 * changes, and now and then. What a hub answered last is kept, with the reason where it refused.
 */
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { FederationHub } from '../../protocol/federation.ts'
import type { HardwareClaim, RegistrationInfo } from '../../protocol/messages/contributor.ts'
import type { Clock, Log, Random, Signer } from '../../protocol/ports.ts'
import type { LendingStore, SettingsChange } from '../lending/settings.ts'
import type { Requests } from '../net/requests.ts'
import { askHub } from './hub-asker.ts'
import type { OrderWriter } from './orders.ts'
import { machineIdOf } from './registry.ts'

export interface RegistrarComponents {
  readonly requests: Requests
  readonly isConnected: (peer: string) => boolean
  /** The node's key. */
  readonly signer: Signer
  readonly writer: OrderWriter
  /** What this machine is and offers now. */
  readonly measure: () => Promise<{ readonly hardware: HardwareClaim; readonly models: readonly string[] }>
  /** What the operator wants of this machine; kept over restarts. */
  readonly store: Pick<LendingStore, 'settings' | 'change'>
  /** It was unregistered: takes its offer back. */
  readonly onLeft: () => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface RegistrarOptions {
  readonly name: string
  readonly hubs: readonly FederationHub[]
  /** Key of the account that this machine earns for; undefined: one that agreed before, or none. */
  readonly account: Signer | undefined
  /** A registration is repeated after so long. Default 10 minutes. */
  readonly refreshMs?: number
}

/** What one hub said last. */
export interface HubAnswer {
  readonly hub: string
  readonly info: RegistrationInfo | undefined
  /** Why not. */
  readonly error: TriforceError | undefined
}

export interface Registrar {
  start(): void
  stop(): void
  /** Something about the machine or its offer has changed. */
  changed(): void
  /** With an account's agreement where `account` is given. Throws what the first hub that answered refused with, or NO_HUB. */
  register(change: Pick<SettingsChange, 'availability' | 'models'>, account?: Signer): Promise<RegistrationInfo>
  /** At all hubs; then the machine is lent no more until the node starts again. */
  unregister(options: { readonly revoke: boolean }): Promise<void>
  /** 16 bytes. */
  readonly id: Uint8Array
  readonly left: boolean
  readonly answers: readonly HubAnswer[]
  /** Resolves with the first answer of a hub, good or bad. */
  readonly first: Promise<HubAnswer>
}

const RETRY_MS_MIN = 2_000
const RETRY_MS_MAX = 60_000
/** Changes that come together are one registration. */
const CHANGE_WAIT_MS = 1_000

export function createRegistrar(components: RegistrarComponents, options: RegistrarOptions): Registrar {
  const { requests, isConnected, signer, writer, measure, store, onLeft, clock, random } = components
  const log = components.log.child('lending')
  const { name, hubs, refreshMs = 600_000 } = options
  const startedAt = clock.now()
  const answers = new Map<string, HubAnswer>()
  const first = Promise.withResolvers<HubAnswer>()
  let account = options.account
  let running = false
  let left = false
  let retryMs = RETRY_MS_MIN
  let cancel = (): void => {}
  /** One round at a time; the next one sees what has changed meanwhile. */
  let round: Promise<void> = Promise.resolve()

  function schedule(waitMs: number): void {
    cancel()
    if (!running || left) return
    cancel = clock.after(waitMs, () => { void next() })
  }

  function next(): Promise<void> {
    round = round.then(runRound, runRound)
    return round
  }

  async function runRound(): Promise<void> {
    if (left) return
    const connected = hubs.filter(({ peerId }) => isConnected(peerId))
    let good = connected.length > 0
    // One after the other: the second hub finds the key bound already.
    for (const hub of connected) good = await registerAt(hub) && good
    retryMs = good ? RETRY_MS_MIN : Math.min(RETRY_MS_MAX, retryMs * 2)
    schedule(good ? refreshMs * (0.8 + 0.4 * random.unit()) : retryMs)
  }

  async function registerAt(hub: FederationHub): Promise<boolean> {
    let answer: HubAnswer
    try {
      const { hardware, models: offered } = await measure()
      const { availability, models } = store.settings
      const order = writer.order(signer, { do: 'register', startedAt, name, hardware, availability, models: [...models.length > 0 ? models : offered] })
      const consent = account === undefined ? undefined : writer.consent(account, signer.publicKey)
      answer = { hub: hub.name, info: await askHub(requests, hub, 'register', order, consent), error: undefined }
    } catch (reason) {
      const error = toTriforceError(reason, 'HOST_LOST')
      answer = { hub: hub.name, info: undefined, error }
      if (error.code === 'UNREGISTERED') leave()
    }
    tell(answers.get(hub.name), answer)
    answers.set(hub.name, answer)
    first.resolve(answer)
    return answer.error === undefined
  }

  /** What is new, once. */
  function tell(before: HubAnswer | undefined, { hub, info, error }: HubAnswer): void {
    if (before !== undefined && before.error?.message === error?.message) return
    if (error === undefined) log.info('this machine is registered', { hub, account: info?.accountName })
    else log.info('this machine is not registered', { hub, why: error.message })
  }

  function leave(): void {
    if (left) return
    left = true
    cancel()
    onLeft()
  }

  return {
    id: machineIdOf(signer.publicKey),
    start() {
      running = true
      schedule(0)
    },
    stop() {
      running = false
      cancel()
    },
    changed() {
      schedule(CHANGE_WAIT_MS)
    },
    async register(change, agreeing) {
      if (left) throw new TriforceError('UNREGISTERED')
      account = agreeing ?? account
      await store.change(change)
      answers.clear()
      await next()
      const all = [...answers.values()]
      const good = all.find(({ info }) => info !== undefined)?.info
      if (good !== undefined) return good
      throw all[0]?.error ?? new TriforceError('NO_HUB', {}, { retryAfterMs: 3_000 })
    },
    async unregister({ revoke }) {
      const asked = hubs.filter(({ peerId }) => isConnected(peerId))
      if (asked.length === 0) throw new TriforceError('NO_HUB', {}, { retryAfterMs: 3_000 })
      const order = writer.order(signer, { do: 'unregister', id: machineIdOf(signer.publicKey), revoke })
      await askHub(requests, asked[0]!, 'unregister', order)
      leave()
    },
    get left() { return left },
    get answers() { return [...answers.values()] },
    first: first.promise,
  }
}
