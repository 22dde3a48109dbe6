/**
 * One answer of a vendor as the events of a provider: counts what is delivered, ends on an abort with what the vendor
 * bills, and lets no answer that broke pass as a whole one.
 */
import type { AnswerDelta, DetailedUsage, FinishReason } from '../../protocol/completion.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { ProviderEvent } from '../interface.ts'
import { createTokenCounter } from './token-estimate.ts'
import { VendorBodyError } from './transport.ts'
import type { AnswerPiece } from './wire.ts'

export interface AnswerRunOptions {
  readonly clock: Clock
  /** Of the consumer. */
  readonly signal: AbortSignal
  /** Begins the request; the signal given ends it. */
  readonly begin: (signal: AbortSignal) => AsyncIterable<AnswerPiece>
  /** For answers that end before the vendor tells its count. */
  readonly promptTokens: number
  /** An answer without the vendor's usage is whole, too. */
  readonly usageOptional: boolean
  /** After an abort, how long the answer is still read for what the vendor bills; 0: the connection is closed at once. */
  readonly drainMsMax: number
}

export async function* runAnswer(options: AnswerRunOptions): AsyncGenerator<ProviderEvent> {
  const { clock, signal, begin, drainMsMax } = options
  const leaving = new AbortController()
  let cancelDrain = (): void => {}
  const onAbort = (): void => {
    if (drainMsMax === 0 || !isOpen) leaving.abort()
    else cancelDrain = clock.after(drainMsMax, () => leaving.abort())
  }
  signal.addEventListener('abort', onAbort, { once: true })
  let isOpen = false
  const counter = createTokenCounter()
  let usage: Partial<DetailedUsage> = {}
  let finish: FinishReason | undefined
  let takenTokens = 0
  let isOver = false
  // A function, since the compiler would take the first answer for the last.
  const isAborted = () => signal.aborted
  if (isAborted()) onAbort()
  try {
    for await (const piece of begin(leaving.signal)) {
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
    isOver = true
  } catch (error) {
    if (!isAborted()) throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    cancelDrain()
    // The connection of an answer that was read to its end is used again.
    if (!isOver) leaving.abort()
  }
  if (isAborted()) {
    yield { type: 'end', finish: 'cancelled', usage: cancelledUsage() }
    return
  }
  if (finish === undefined) throw new VendorBodyError('the answer broke off')
  if (finish === 'error') throw new VendorBodyError('it says that the answer failed')
  if (usage.completionTokens === undefined && !options.usageOptional) throw new VendorBodyError('the answer broke off before its count of tokens')
  yield { type: 'end', finish, usage: wholeUsage() }

  function wholeUsage(): DetailedUsage {
    const completionTokens = usage.completionTokens ?? counter.tokens
    // Nothing came: nothing is charged, whatever is counted for the prompt.
    if (completionTokens === 0) return { promptTokens: 0, completionTokens: 0 }
    return { ...usage, promptTokens: usage.promptTokens ?? options.promptTokens, completionTokens }
  }

  function cancelledUsage(): DetailedUsage {
    // Before it took the request the vendor bills nothing.
    if (!isOpen) return { promptTokens: 0, completionTokens: 0 }
    // The vendor's own count, or all that was made until the bound; where it stops with us, what was taken.
    if (drainMsMax > 0 || finish !== undefined) return { ...usage, promptTokens: usage.promptTokens ?? options.promptTokens, completionTokens: usage.completionTokens ?? counter.tokens }
    return { ...partsOf(usage), promptTokens: usage.promptTokens ?? options.promptTokens, completionTokens: takenTokens }
  }
}

/** Of an answer that was left, only what was counted of its prompt is final. */
function partsOf({ cachedPromptTokens, cacheWriteTokens }: Partial<DetailedUsage>): Partial<DetailedUsage> {
  return { ...(cachedPromptTokens === undefined ? {} : { cachedPromptTokens }), ...(cacheWriteTokens === undefined ? {} : { cacheWriteTokens }) }
}

type DeltaPiece = Exclude<AnswerPiece, { type: 'open' | 'usage' | 'finish' }>

function deltaOf(piece: DeltaPiece, tokens: number): AnswerDelta {
  return { ...piece, tokens }
}

function textIn(piece: DeltaPiece): string {
  return piece.type === 'toolCall' ? (piece.name ?? '') + piece.arguments : piece.text
}
