/**
 * The hand-over between an engine that produces events and one consumer that pulls them.
 *
 * Text that is not taken at once is joined to one piece, and of several states only the newest is kept, so the box holds
 * no more than the engine's window. Usage of a cancelled run is what the consumer has taken, exactly.
 */
import type { FinishReason, Usage } from '../protocol/completion.ts'
import type { TriforceError } from '../protocol/errors.ts'
import type { ProviderEvent, ProviderState } from './interface.ts'

export interface EventBox {
  /** Tokens of the text that the consumer has taken. */
  readonly takenTokens: number
  /** True once an end or an error is in the box; everything put later is dropped. */
  readonly closed: boolean
  started(promptTokens: number): void
  state(state: ProviderState): void
  /** `tokens` is cumulative. */
  text(text: string, tokens: number): void
  end(finish: FinishReason, usage: Usage): void
  /** Undefined where text may be put now; else resolves when the consumer has taken what is there, or is gone. */
  room(windowTokens: number): Promise<void> | undefined
  /** Ends with `cancelled` now; text that was not taken is not delivered and not counted. */
  cancel(): void
  /** The error is thrown at the consumer after the text that came before it. */
  fail(error: TriforceError): void
  /** The next event; one consumer only. After the last one it must not be asked again. */
  next(): Promise<ProviderEvent>
}

export interface EventBoxOptions {
  /** Called whenever the consumer has taken text, with the new total. */
  readonly onTaken?: (tokens: number) => void
}

export function createEventBox(options: EventBoxOptions = {}): EventBox {
  let promptTokens = 0
  let takenTokens = 0
  let state: ProviderState | undefined
  let text: { text: string; tokens: number } | undefined
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
    text(piece, tokens) {
      if (last !== undefined) return
      text = { text: (text?.text ?? '') + piece, tokens }
      wake?.()
    },
    end(finish, usage) { close({ type: 'end', finish, usage }) },
    room(windowTokens) {
      if (last !== undefined || text === undefined || text.tokens - takenTokens < windowTokens) return undefined
      return new Promise((resolve) => { onRoom = resolve })
    },
    cancel() {
      if (last !== undefined && text === undefined) return
      text = undefined
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
      if (text !== undefined) {
        const event: ProviderEvent = { type: 'text', ...text }
        takenTokens = text.tokens
        text = undefined
        options.onTaken?.(takenTokens)
        onRoom?.()
        return event
      }
      if (last instanceof Error) throw last
      return last as ProviderEvent
    },
  }

  function isEmpty(): boolean {
    return state === undefined && text === undefined && last === undefined
  }

  function close(event: ProviderEvent | TriforceError): void {
    if (last !== undefined) return
    last = event
    wake?.()
    onRoom?.()
  }
}
