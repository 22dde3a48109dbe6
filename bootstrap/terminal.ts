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
  /**
   * Shows for a while what is waited for, on a terminal; undefined takes it away. In the middle of an answer it stands
   * behind the text, where there is room. Nothing is shown where stderr is no terminal.
   */
  transient(text: string | undefined): void
  /** Coloured only where that stream is a terminal that wants colours (NO_COLOR and FORCE_COLOR count). */
  style(style: Style, text: string, stream?: 'stdout' | 'stderr'): string
}

/** The part of a stream that is used; a test gives its own. */
export type OutputStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }

const ERASE_LINE = '\r\u001b[2K'
const SAVE_CURSOR = '\u001b7'
const RESTORE_CURSOR = '\u001b8'
const ERASE_TO_END = '\u001b[K'
const COLUMNS_DEFAULT = 80

export function createTerminal(stdout: OutputStream = process.stdout, stderr: OutputStream = process.stderr): Terminal {
  const stdoutIsTty = stdout.isTTY ?? false
  const stderrIsTty = stderr.isTTY ?? false
  // A terminal that does not know its width says 0 or nothing.
  const columns = (): number => stderr.columns || COLUMNS_DEFAULT
  // How the shown text is taken away again; empty where none is shown.
  let erase = ''
  // Column of the cursor behind text on stdout that has not ended its line.
  let column = 0

  const clear = (): void => {
    if (erase !== '') stderr.write(erase)
    erase = ''
  }
  const advance = (text: string): void => {
    if (!stdoutIsTty) return
    const lastLine = text.slice(text.lastIndexOf('\n') + 1)
    column = ((text.includes('\n') ? 0 : column) + letters(lastLine).length) % columns()
  }
  return {
    stdoutIsTty,
    stderrIsTty,
    print: (line) => {
      clear()
      stdout.write(`${line}\n`)
      column = 0
    },
    write: async (text) => {
      clear()
      advance(text)
      if (!stdout.write(text)) await new Promise<void>((resolve) => { stdout.once('drain', resolve) })
    },
    note: (line) => {
      clear()
      stderr.write(`${line}\n`)
      column = 0
    },
    transient: (text) => {
      if (!stderrIsTty) return
      clear()
      if (text === undefined) return
      const room = columns() - column - 1
      const dim = (shown: string): string => styleText('dim', shown, { validateStream: false })
      if (column === 0) {
        stderr.write(dim(cut(text, room)))
        erase = ERASE_LINE
      } else if (letters(text).length + 1 < room) {
        stderr.write(`${SAVE_CURSOR} ${dim(text)}${RESTORE_CURSOR}`)
        erase = ERASE_TO_END
      }
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
