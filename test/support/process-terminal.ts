/** A terminal that keeps what was printed. */
import type { Terminal } from '../../bootstrap/terminal.ts'

export interface KeptTerminal extends Terminal {
  /** Everything on stdout and on stderr so far. */
  readonly stdout: () => string
  readonly stderr: () => string
}

export function keptTerminal(options: { readonly tty?: boolean } = {}): KeptTerminal {
  const tty = options.tty ?? false
  const out: string[] = []
  const err: string[] = []
  return {
    stdoutIsTty: tty,
    stderrIsTty: tty,
    print: (line) => { out.push(`${line}\n`) },
    write: (text) => {
      out.push(text)
      return Promise.resolve()
    },
    note: (line) => { err.push(`${line}\n`) },
    transient: (text) => { if (text !== undefined) err.push(`[${text}]`) },
    style: (_style, text) => text,
    stdout: () => out.join(''),
    stderr: () => err.join(''),
  }
}
