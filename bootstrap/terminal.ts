/**
 * What a command prints. Answers go to stdout, everything about getting them to stderr, so a pipe gets the answer only.
 */
import { styleText } from 'node:util'

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan'

export interface Terminal {
  readonly stdoutIsTty: boolean
  readonly stderrIsTty: boolean
  /** A line on stdout. */
  print(line: string): void
  /** Text on stdout as it comes; resolves when stdout can take more. */
  write(text: string): Promise<void>
  /** A line on stderr. */
  note(line: string): void
  /** Shows what is waited for in place, on a terminal; undefined takes it away. Nothing is shown where stderr is no terminal. */
  transient(text: string | undefined): void
  /** Coloured only where that stream is a terminal that wants colours (NO_COLOR and FORCE_COLOR count). */
  style(style: Style, text: string, stream?: 'stdout' | 'stderr'): string
}

export function createTerminal(stdout: NodeJS.WriteStream = process.stdout, stderr: NodeJS.WriteStream = process.stderr): Terminal {
  let shown = false
  const clear = (): void => {
    if (shown) stderr.write('\r\u001b[2K')
    shown = false
  }
  return {
    stdoutIsTty: stdout.isTTY,
    stderrIsTty: stderr.isTTY,
    print: (line) => {
      clear()
      stdout.write(`${line}\n`)
    },
    write: async (text) => {
      clear()
      if (!stdout.write(text)) await new Promise<void>((resolve) => { stdout.once('drain', resolve) })
    },
    note: (line) => {
      clear()
      stderr.write(`${line}\n`)
    },
    transient: (text) => {
      if (!stderr.isTTY) return
      clear()
      if (text === undefined) return
      stderr.write(styleText('dim', cut(text, (stderr.columns ?? 80) - 1), { stream: stderr }))
      shown = true
    },
    style: (style, text, stream = 'stdout') => styleText(style, text, { stream: stream === 'stdout' ? stdout : stderr }),
  }
}

/** Texts of peers and models come from outside: they must not steer the terminal. Line breaks and tabs stay where asked for. */
export function printable(text: string, options: { readonly lines?: boolean } = {}): string {
  return options.lines === true ? text.replaceAll(/[^\P{Cc}\n\t]/gu, '') : text.replaceAll(/\p{Cc}/gu, ' ')
}

const segmenter = new Intl.Segmenter()

/** What a reader takes for letters, so that neither a cut nor a width splits one. */
export function letters(text: string): string[] {
  return Array.from(segmenter.segment(text), (part) => part.segment)
}

export function cut(text: string, width: number): string {
  const parts = letters(text)
  return parts.length <= width ? text : `${parts.slice(0, Math.max(0, width - 1)).join('')}…`
}
