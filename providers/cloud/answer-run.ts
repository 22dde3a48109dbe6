/**
 * One answer of a vendor as the events of a provider: counts what is delivered, ends on an abort with what the vendor
 * bills, and lets no answer that broke pass as a whole one.
 */
import type { AnswerDelta, DetailedUsage, FinishReason } from '../../protocol/completion.ts'
import type { Clock } from '../../protocol/ports.ts'
import { createTokenCounter } from '../../protocol/token-estimate.ts'
import type { ProviderEvent } from '../interface.ts'
import { VendorBodyError } from './vendor-stream.ts'
import type { AnswerPiece } from './wire.ts'

export interface AnswerRunOptions {
  readonly clock: Clock
  /** Of the consumer, and of whoever closes the vendor: the first that aborts ends it. */
  readonly signals: readonly AbortSignal[]
  /** Begins the request; the signal given ends it. */
  readonly begin: (signal: AbortSignal) => AsyncIterable<readonly AnswerPiece[]>
  /** For answers that end before the vendor tells its count. */
  readonly promptTokens: () => number
  /** An answer without the vendor's usage is whole, too. */
  readonly usageOptional: boolean
  /** After an abort, how long the answer is still read for what the vendor bills; 0: the connection is closed at once. */
  readonly drainMsMax: number
  /** What goes wrong, as whoever asked shall see it. */
  readonly errorOf: (error: unknown) => Error
}

export async function* runAnswer(options: AnswerRunOptions): AsyncGenerator<ProviderEvent> {
  const { clock, signals, begin, drainMsMax } = options
  const leaving = new AbortController()
  let cancelDrain = (): void => {}
  const onAbort = (): void => {
    if (drainMsMax === 0 || !isOpen) leaving.abort()
    else {
      cancelDrain()
      cancelDrain = clock.after(drainMsMax, () => leaving.abort())
    }
  }
  // Not AbortSignal.any, which costs as much as the rest of this.
  for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true })
  let isOpen = false
  const counter = createTokenCounter()
  let usage: Partial<DetailedUsage> = {}
  let finish: FinishReason | undefined
  let takenTokens = 0
  let isOver = false
  const isAborted = () => signals.some(({ aborted }) => aborted)
  if (isAborted()) onAbort()
  try {
    for await (const pieces of begin(leaving.signal)) {
      for (const piece of joined(pieces)) {
        if (piece.type === 'open') {
          isOpen = true
          if (!isAborted()) yield { type: 'state', state: { state: 'running' } }
        } else if (piece.type === 'usage') {
          usage = { ...usage, ...piece.usage }
        } else if (piece.type === 'finish') {
          finish = piece.finish
        } else {
          const delta = deltaOf(piece, counter.add(textIn(piece)))
          if (isAborted()) continue
          yield delta
          takenTokens = delta.tokens
        }
      }
    }
    isOver = true
  } catch (error) {
    if (!isAborted()) throw options.errorOf(error)
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', onAbort)
    cancelDrain()
    // The connection of an answer that was read to its end is used again.
    if (!isOver) leaving.abort()
  }
  if (isAborted()) {
    // An end of the vendor's own says that the usage is what it bills, whoever has left.
    yield { type: 'end', finish: finish === undefined || finish === 'error' ? 'cancelled' : finish, usage: cancelledUsage() }
    return
  }
  if (finish === undefined) throw options.errorOf(new VendorBodyError('the answer broke off'))
  if (finish === 'error') throw options.errorOf(new VendorBodyError('it says that the answer failed'))
  if (usage.completionTokens === undefined && !options.usageOptional) throw options.errorOf(new VendorBodyError('the answer broke off before its count of tokens'))
  yield { type: 'end', finish, usage: wholeUsage() }

  function wholeUsage(): DetailedUsage {
    const completionTokens = usage.completionTokens ?? counter.tokens
    // Nothing came: nothing is charged, whatever is counted for the prompt.
    if (completionTokens === 0) return { promptTokens: 0, completionTokens: 0 }
    return { ...usage, promptTokens: usage.promptTokens ?? options.promptTokens(), completionTokens }
  }

  function cancelledUsage(): DetailedUsage {
    // Before it took the request the vendor bills nothing.
    if (!isOpen) return { promptTokens: 0, completionTokens: 0 }
    // The vendor's own count, or all that was made until the bound; where it stops with us, what was taken.
    if (drainMsMax > 0 || finish !== undefined) return { ...usage, promptTokens: usage.promptTokens ?? options.promptTokens(), completionTokens: usage.completionTokens ?? counter.tokens }
    return { ...partsOf(usage), promptTokens: usage.promptTokens ?? options.promptTokens(), completionTokens: takenTokens }
  }
}

/** Of an answer that was left, only what was counted of its prompt is final. */
function partsOf({ cachedPromptTokens, cacheWriteTokens }: Partial<DetailedUsage>): Partial<DetailedUsage> {
  return { ...(cachedPromptTokens === undefined ? {} : { cachedPromptTokens }), ...(cacheWriteTokens === undefined ? {} : { cacheWriteTokens }) }
}

/** Texts that came in one read are one: every step after this costs a piece, not a character. */
function joined(pieces: readonly AnswerPiece[]): readonly AnswerPiece[] {
  if (pieces.length < 2) return pieces
  const out: AnswerPiece[] = []
  for (const piece of pieces) {
    const last = out.at(-1)
    if (piece.type === 'text' && last?.type === 'text') {
      const logprobs = [...last.logprobs ?? [], ...piece.logprobs ?? []]
      out[out.length - 1] = { type: 'text', text: last.text + piece.text, ...(logprobs.length === 0 ? {} : { logprobs }) }
    } else if (piece.type === 'reasoning' && last?.type === 'reasoning' && isPlain(piece) && isPlain(last)) {
      out[out.length - 1] = { type: 'reasoning', text: last.text + piece.text }
    } else if (piece.type === 'toolCall' && last?.type === 'toolCall' && piece.index === last.index && piece.id === undefined) {
      out[out.length - 1] = { ...last, arguments: last.arguments + piece.arguments }
    } else {
      out.push(piece)
    }
  }
  return out
}

function isPlain({ signature, redacted }: Extract<AnswerPiece, { type: 'reasoning' }>): boolean {
  return signature === undefined && redacted === undefined
}

type DeltaPiece = Exclude<AnswerPiece, { type: 'open' | 'usage' | 'finish' }>

function deltaOf(piece: DeltaPiece, tokens: number): AnswerDelta {
  return { ...piece, tokens }
}

function textIn(piece: DeltaPiece): string {
  return piece.type === 'toolCall' ? (piece.name ?? '') + piece.arguments : piece.text
}
