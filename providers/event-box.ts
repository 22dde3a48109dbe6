/**
 * The hand-over between an engine that produces events and one consumer that pulls them.
 *
 * Deltas of one kind that are not taken at once are joined to one piece, and of several states only the newest is kept,
 * so the box holds no more than the engine's window. Usage of a cancelled run is what the consumer has taken, exactly.
 */
import type { AnswerDelta, DetailedUsage, FinishReason } from '../protocol/completion.ts'
import type { TriforceError } from '../protocol/errors.ts'
import type { ProviderEvent, ProviderState } from './interface.ts'

export interface EventBox {
  /** Tokens of the answer that the consumer has taken. */
  readonly takenTokens: number
  /** True once an end or an error is in the box; everything put later is dropped. */
  readonly closed: boolean
  started(promptTokens: number): void
  state(state: ProviderState): void
  delta(delta: AnswerDelta): void
  end(finish: FinishReason, usage: DetailedUsage): void
  /** Undefined where more may be put now; else resolves when the consumer has taken what is there, or is gone. */
  room(windowTokens: number): Promise<void> | undefined
  /** Ends with `cancelled` now; what was not taken is not delivered and not counted. */
  cancel(): void
  /** The error is thrown at the consumer after what came before it. */
  fail(error: TriforceError): void
  /** The next event; one consumer only. After the last one it must not be asked again. */
  next(): Promise<ProviderEvent>
}

export interface EventBoxOptions {
  /** Called whenever the consumer has taken a delta, with the new total. */
  readonly onTaken?: (tokens: number) => void
}

export function createEventBox(options: EventBoxOptions = {}): EventBox {
  let promptTokens = 0
  let takenTokens = 0
  let state: ProviderState | undefined
  let deltas: AnswerDelta[] = []
  let putTokens = 0
  let last: ProviderEvent | TriforceError | undefined
  let wake: (() => void) | undefined
  let onRoom: (() => void) | undefined

  return {
    get takenTokens() { return takenTokens },
    get closed() { return last !== undefined },
    started(tokens) { promptTokens = tokens },
    state(next) {
      if (last !== undefined) return
      state = next
      wake?.()
    },
    delta(delta) {
      if (last !== undefined) return
      putTokens = delta.tokens
      const before = deltas.at(-1)
      const joined = before === undefined ? undefined : join(before, delta)
      if (joined === undefined) deltas.push(delta)
      else deltas[deltas.length - 1] = joined
      wake?.()
    },
    end(finish, usage) { close({ type: 'end', finish, usage }) },
    room(windowTokens) {
      if (last !== undefined || deltas.length === 0 || putTokens - takenTokens < windowTokens) return undefined
      return new Promise((resolve) => { onRoom = resolve })
    },
    cancel() {
      if (last !== undefined && deltas.length === 0) return
      deltas = []
      state = undefined
      last = { type: 'end', finish: 'cancelled', usage: { promptTokens, completionTokens: takenTokens } }
      wake?.()
      onRoom?.()
    },
    fail(error) { close(error) },
    async next() {
      while (isEmpty()) {
        const waiting = Promise.withResolvers<void>()
        wake = waiting.resolve
        await waiting.promise
        wake = undefined
      }
      if (state !== undefined) {
        const event: ProviderEvent = { type: 'state', state }
        state = undefined
        return event
      }
      const delta = deltas.shift()
      if (delta !== undefined) {
        takenTokens = delta.tokens
        options.onTaken?.(takenTokens)
        onRoom?.()
        return delta
      }
      if (last instanceof Error) throw last
      return last as ProviderEvent
    },
  }

  function isEmpty(): boolean {
    return state === undefined && deltas.length === 0 && last === undefined
  }

  function close(event: ProviderEvent | TriforceError): void {
    if (last !== undefined) return
    last = event
    wake?.()
    onRoom?.()
  }
}

/** Two deltas as one, where they belong together and nothing is lost by it. */
function join(before: AnswerDelta, delta: AnswerDelta): AnswerDelta | undefined {
  if (before.type === 'text' && delta.type === 'text') {
    return {
      type: 'text', text: before.text + delta.text, tokens: delta.tokens,
      ...(before.logprobs === undefined && delta.logprobs === undefined ? {} : { logprobs: [...before.logprobs ?? [], ...delta.logprobs ?? []] }),
      // Ids of a part only would be those of other tokens.
      ...(before.ids === undefined || delta.ids === undefined ? {} : { ids: [...before.ids, ...delta.ids] }),
    }
  }
  if (before.type === 'reasoning' && delta.type === 'reasoning' && before.signature === undefined && before.redacted === delta.redacted) {
    return { ...before, ...delta, text: before.text + delta.text }
  }
  if (before.type === 'toolCall' && delta.type === 'toolCall' && before.index === delta.index) {
    return { ...before, arguments: before.arguments + delta.arguments, tokens: delta.tokens }
  }
  return undefined
}
