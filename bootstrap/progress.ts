/**
 * Says what is waited for once it takes longer than a second: on a terminal in place with the seconds, else one line
 * for each thing, once.
 */
import type { Clock } from '../protocol/ports.ts'
import type { Terminal } from './terminal.ts'

const QUIET_MS = 1_000

/** Lines that a log gets of one progress at most. */
const SAID_MAX = 100

export interface Progress {
  /** What is waited for now; the same text again changes nothing. */
  waitFor(what: string): void
  /** Nothing is waited for any more. */
  clear(): void
}

export function createProgress({ terminal, clock }: { readonly terminal: Terminal; readonly clock: Clock }): Progress {
  let current: { what: string; since: number } | undefined
  let cancel = (): void => {}
  const said = new Set<string>()
  const tick = (): void => {
    if (current === undefined) return
    const text = `${current.what} (${Math.floor((clock.monotonicMs() - current.since) / 1_000)} s)`
    if (terminal.stderrIsTty) {
      terminal.transient(text)
      cancel = clock.after(QUIET_MS, tick)
    } else if (!said.has(current.what) && said.size < SAID_MAX) {
      said.add(current.what)
      terminal.note(current.what)
    }
  }
  return {
    waitFor: (what) => {
      if (current?.what === what) return
      cancel()
      current = { what, since: clock.monotonicMs() }
      cancel = clock.after(QUIET_MS, tick)
    },
    clear: () => {
      cancel()
      current = undefined
      terminal.transient(undefined)
    },
  }
}
