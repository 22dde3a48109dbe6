/**
 * An answer that may go on at another host where its own dies: what was passed on so far, whether another host can take it
 * from there, what it is asked then, and the one bill of all parts. Pure; who is asked is the dispatcher's business.
 *
 * The next host gets what the client has as the beginning of its own message. Where it has the same weights it also gets the
 * tokens themselves, for the text alone does not say which tokens a model chose.
 */
import { isEmbedding, textOf, type AnswerDelta, type CompletionRequest, type DetailedUsage, type JobRequest } from '../../protocol/completion.ts'
import { PROMPT_CHARS_MAX } from '../../protocol/limits.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import type { Served, ServedPart } from '../gateway.ts'
import type { JobEvent } from './vectors.ts'

/** Hosts that may break off one answer: a request that kills its hosts must not kill them all. */
export const BREAKS_MAX = 3

/** Why an answer cannot go on elsewhere. */
export type StuckReason = 'not wished' | 'embedding' | 'tool call' | 'reasoning' | 'too long' | 'broke too often'

/** What is known of a host's part when it has ended. */
export interface EndedPart {
  readonly host: string
  readonly hostName: string
  readonly digest?: string | undefined
  /** Prompt tokens that the account pays for with this part. */
  readonly promptTokens: number
  /** Resolves when its receipt is durable. A part whose receipt could not be logged has none. */
  readonly settling: Promise<Pick<Served, 'receiptId' | 'durability' | 'costMicroCredits'> | undefined>
}

export interface Continuation {
  /** What was passed on as text so far. */
  readonly text: string
  /** An event of the host that answers now, as the client is to see it. */
  pass(event: JobEvent): JobEvent
  /** Digest of the weights that made the tokens so far; undefined where they are not known, or not of one kind. */
  readonly digest: string | undefined
  /** Undefined: another host may go on. */
  stuck(): StuckReason | undefined
  /** As many tokens are there as were asked for: only the end is missing. */
  readonly isFull: boolean
  /** The host of the last part is gone. */
  broke(part: EndedPart): void
  /** What the next host is asked; `ids` where it has the weights that made them. */
  request(options: { readonly ids: boolean }): CompletionRequest
  /** The prompt is on the bill of an earlier part. */
  readonly isPromptPaid: boolean
  /** The usage of the whole answer, where the last part has this one. */
  merged(last: DetailedUsage): DetailedUsage
  /** Resolves when the receipts of all parts that broke are durable. */
  settled(): Promise<void>
  /** Of an answer whose last host died when all its tokens were there; to be passed on as `settled`, which adds the rest. */
  servedByLast(): Omit<Served, 'hub' | 'attempts' | 'model'>
}

const NO_USAGE: DetailedUsage = { promptTokens: 0, completionTokens: 0 }

export function createContinuation(asked: JobRequest, wishes: RoutingWishes | undefined): Continuation {
  const request = isEmbedding(asked) ? undefined : asked
  let text = ''
  let ids: number[] | undefined = []
  let digest: string | undefined
  /** Tokens of the parts that broke, and of all. */
  let tokensBefore = 0
  let tokens = 0
  let hasVectors = false
  let toolCalls = 0
  let hasReasoning = false
  let breaks = 0
  let usageBefore = NO_USAGE
  let costBefore = 0n
  let isLocal = false
  const parts: ServedPart[] = []
  const settling: Promise<void>[] = []

  function take(delta: AnswerDelta): AnswerDelta {
    const inPart = delta.tokens
    tokens = tokensBefore + inPart
    if (delta.type === 'reasoning') hasReasoning = true
    else if (delta.type === 'toolCall') toolCalls += 1
    else {
      text += delta.text
      if (ids !== undefined && delta.ids !== undefined && ids.length + delta.ids.length === tokens) ids.push(...delta.ids)
      else ids = undefined
    }
    return tokensBefore === 0 ? delta : { ...delta, tokens }
  }

  function merged(last: DetailedUsage): DetailedUsage {
    if (breaks === 0) return last
    return {
      ...last,
      // The prompt is read by each host, and counted once.
      promptTokens: usageBefore.promptTokens > 0 ? usageBefore.promptTokens : last.promptTokens,
      completionTokens: usageBefore.completionTokens + last.completionTokens,
    }
  }

  function withParts(served: Served): Served {
    if (parts.length === 0) return served
    return {
      ...served, costMicroCredits: costBefore + served.costMicroCredits, parts: [...parts, ...served.parts ?? []],
      durability: isLocal && served.durability === 'replicated' ? 'local' : served.durability,
    }
  }

  return {
    get text() { return text },
    get digest() { return digest },
    get isFull() { return request?.maxTokens !== undefined && tokens >= request.maxTokens },
    get isPromptPaid() { return usageBefore.promptTokens > 0 },
    pass(event) {
      switch (event.type) {
        case 'text': case 'reasoning': case 'toolCall': return take(event)
        case 'vectors':
          hasVectors = true
          return event
        case 'finish': return breaks === 0 ? event : { ...event, usage: merged(event.usage) }
        case 'settled': return { ...event, served: withParts(event.served) }
        case 'placed': case 'waiting': return event
      }
    },
    stuck() {
      if (wishes?.continuation === false) return 'not wished'
      if (request === undefined || hasVectors) return 'embedding'
      if (toolCalls > 0) return 'tool call'
      if (hasReasoning) return 'reasoning'
      if (breaks >= BREAKS_MAX) return 'broke too often'
      const chars = request.messages.reduce((sum, message) => sum + textOf(message).length, 0)
      return chars + text.length > PROMPT_CHARS_MAX ? 'too long' : undefined
    },
    broke(part) {
      breaks += 1
      const completionTokens = tokens - tokensBefore
      usageBefore = { promptTokens: Math.max(usageBefore.promptTokens, part.promptTokens), completionTokens: usageBefore.completionTokens + completionTokens }
      if (breaks === 1) ({ digest } = part)
      else if (digest !== part.digest) ids = digest = undefined
      tokensBefore = tokens
      const at = parts.push({ host: part.host, hostName: part.hostName, completionTokens }) - 1
      settling.push(part.settling.then((settled) => {
        if (settled === undefined) return
        costBefore += settled.costMicroCredits
        isLocal ||= settled.durability !== 'replicated'
        parts[at] = { ...parts[at]!, ...(settled.receiptId === undefined ? {} : { receiptId: settled.receiptId }) }
      }))
    },
    request({ ids: wanted }) {
      if (request === undefined) throw new TypeError('an embedding has no beginning')
      if (text === '') return request
      const last = request.continueLast ? request.messages.at(-1)! : undefined
      const messages = last === undefined ? request.messages : request.messages.slice(0, -1)
      return {
        ...request,
        messages: [...messages, { ...last, role: 'assistant', content: (last === undefined ? '' : textOf(last)) + text }],
        continueLast: true,
        begun: { chars: text.length, tokens, ...(wanted && ids !== undefined && ids.length > 0 ? { ids: [...ids] } : {}) },
        ...(request.maxTokens === undefined ? {} : { maxTokens: request.maxTokens - tokens }),
      }
    },
    merged,
    async settled() {
      await Promise.all(settling)
    },
    servedByLast() {
      const { host, hostName, receiptId } = parts.at(-1)!
      return { host, hostName, durability: receiptId === undefined ? 'none' : 'replicated', costMicroCredits: 0n, ...(receiptId === undefined ? {} : { receiptId }) }
    },
  }
}
