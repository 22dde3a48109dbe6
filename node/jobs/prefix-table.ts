/**
 * Which host has the beginning of a prompt in its memory: an engine keeps what it computed last, so the next turn of a
 * conversation costs only its new messages where the last one was answered, and a long system message is read once.
 *
 * Kept are hashes, not prompts: of the messages up to the end of one of them, with the account and the model, under a key
 * that is drawn at the start and never leaves this process. Bounded, and forgotten after a while. Accounts do not share: what one
 * asks must not move the jobs of another.
 */
import { createHash, type Hash } from 'node:crypto'
import { textOf, type ChatMessage, type CompletionRequest, type Tool } from '../../protocol/completion.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { Clock, Random } from '../../protocol/ports.ts'
import type { JobEvent } from './vectors.ts'

export interface PrefixTableComponents {
  readonly clock: Clock
  readonly random: Random
}

export interface PrefixTableOptions {
  /** Beginnings that are remembered; the one that was not used for longest goes first. Default 20,000, some 4 MB. */
  readonly prefixesMax?: number
  /** An engine has few sequences, and others write over them. Default 10 minutes after the last use. */
  readonly keepMs?: number
  /** Shorter beginnings are computed faster than they are worth. Default 512 characters, about 128 tokens. */
  readonly charsMin?: number
}

export interface PrefixTable {
  /** Peer that has the longest known beginning of this prompt. */
  hostOf(account: Uint8Array, request: CompletionRequest): string | undefined
  /** `peer` has read this prompt and answered `text`. */
  answered(account: Uint8Array, request: CompletionRequest, text: string, peer: string): void
  /** Beginnings of prompts of this account for this model that this peer has. */
  countAt(account: Uint8Array, model: string, peer: string): number
}

export const prefixTableDefaults = Object.freeze({ prefixesMax: 20_000, keepMs: 600_000, charsMin: 512 })

/** Messages at the front that many conversations share: the system's, and the first question. */
const FIRST_MESSAGES = 2
/** Messages at the end that a client may have added since: the answer, what its tools gave, the next question. */
const LAST_MESSAGES = 16

interface Known {
  readonly peer: string
  /** Account and model. */
  readonly owner: string
  readonly untilMs: number
}

export function createPrefixTable({ clock, random }: PrefixTableComponents, options: PrefixTableOptions = {}): PrefixTable {
  const { prefixesMax, keepMs, charsMin } = { ...prefixTableDefaults, ...options }
  const key = random.bytes(32)
  const known = new Map<string, Known>()

  const ownerOf = (account: Uint8Array, model: string) => `${toHex(account)} ${model}`

  /** Names of the beginnings that end with one of the first messages, or of the last `lastMax`, where they are long enough; the shortest first. */
  function namesOf(owner: string, messages: readonly ChatMessage[], tools: readonly Tool[], lastMax: number): string[] {
    let chars = tools.reduce((sum, tool) => sum + tool.parameters.length, 0)
    if (messages.reduce((sum, message) => sum + lengthOf(message), chars) < charsMin) return []
    const hash = createHash('sha256').update(key).update(JSON.stringify([owner, tools]))
    return messages.flatMap((message, index) => {
      feed(hash, message)
      chars += lengthOf(message)
      const isWanted = chars >= charsMin && (index < FIRST_MESSAGES || index >= messages.length - lastMax)
      return isWanted ? [hash.copy().digest('base64url').slice(0, 22)] : []
    })
  }

  function remember(name: string, value: Known): void {
    known.delete(name)
    if (known.size >= prefixesMax) known.delete(known.keys().next().value!)
    known.set(name, value)
  }

  return {
    hostOf(account, request) {
      if (known.size === 0) return undefined
      for (const name of namesOf(ownerOf(account, request.model), request.messages, request.tools ?? [], LAST_MESSAGES).toReversed()) {
        const found = known.get(name)
        if (found === undefined) continue
        if (found.untilMs > clock.monotonicMs()) return found.peer
        known.delete(name)
      }
      return undefined
    },
    answered(account, request, text, peer) {
      const owner = ownerOf(account, request.model)
      const untilMs = clock.monotonicMs() + keepMs
      // With the answer and without: a client may change it, or ask again.
      for (const name of namesOf(owner, [...request.messages, { role: 'assistant', content: text }], request.tools ?? [], 2)) remember(name, { peer, owner, untilMs })
    },
    countAt(account, model, peer) {
      const owner = ownerOf(account, model)
      const nowMs = clock.monotonicMs()
      let count = 0
      for (const one of known.values()) if (one.peer === peer && one.owner === owner && one.untilMs > nowMs) count += 1
      return count
    },
  }
}

/** Hears the events of a job: who answers it; undefined where that is a vendor, or another model. */
export function createHostWatch(model: string): { hear(event: JobEvent): void; readonly host: string | undefined } {
  let host: string | undefined
  return {
    hear(event) {
      if (event.type === 'placed') host = event.vendor === undefined && event.model === model ? event.host : undefined
    },
    get host() { return host },
  }
}

function lengthOf({ content }: ChatMessage): number {
  return typeof content === 'string' ? content.length : content.reduce((sum, part) => sum + (part.type === 'text' ? part.text.length : part.data.length), 0)
}

/** What a model reads of a message, so that two dialects that say the same are the same. */
function feed(hash: Hash, message: ChatMessage): void {
  const { role, content, toolCalls = [], toolCallId = '' } = message
  const text = textOf(message)
  hash.update(JSON.stringify([role, text.length, toolCalls.map(({ name, arguments: given }) => [name, given]), toolCallId])).update(text)
  if (typeof content !== 'string') for (const part of content) if (part.type === 'image') hash.update(JSON.stringify([part.mediaType, part.data.length])).update(part.data)
}
