/**
 * Stop strings over a stream of text pieces. A stop string may span any number of pieces; neither it nor its beginning
 * is ever given out. Text that could still become a stop string is held back: at most the longest stop string less one.
 */
export interface StopMatcher {
  /** The text that is safe to give out, and whether a stop string was met (nothing comes after it). */
  push(piece: string): { readonly text: string; readonly stopped: boolean }
  /** What was held back, when the answer ends for another reason. */
  rest(): string
}

export function createStopMatcher(stops: readonly string[]): StopMatcher {
  const longest = stops.reduce((length, stop) => Math.max(length, stop.length), 0)
  let held = ''

  return {
    push(piece) {
      if (longest === 0) return { text: piece, stopped: false }
      const text = held + piece
      let first = -1
      for (const stop of stops) {
        const at = text.indexOf(stop)
        if (at !== -1 && (first === -1 || at < first)) first = at
      }
      if (first !== -1) {
        held = ''
        return { text: text.slice(0, first), stopped: true }
      }
      const keep = startedStopLength(text)
      held = text.slice(text.length - keep)
      return { text: text.slice(0, text.length - keep), stopped: false }
    },
    rest() {
      const text = held
      held = ''
      return text
    },
  }

  /** Length of the longest end of `text` with which some stop string begins. */
  function startedStopLength(text: string): number {
    for (let length = Math.min(longest - 1, text.length); length > 0; length--) {
      const end = text.slice(text.length - length)
      if (stops.some((stop) => stop.startsWith(end))) return length
    }
    return 0
  }
}
