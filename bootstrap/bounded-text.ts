/** Reads a text file or a pipe up to a bound. */
import { createReadStream } from 'node:fs'
import { CommandError } from './command-error.ts'
import { errorCode, withPath } from './private-file.ts'

export interface BoundedTextOptions {
  readonly charsMax: number
  /** What it is, such as `a receipt`, and how one is written. */
  readonly what: string
  readonly writtenBy: string
}

/** `-` is stdin. Read piece by piece, so that a device or a pipe without end is given up at the bound. Throws a CommandError. */
export async function readBoundedText(file: string, { charsMax, what, writtenBy }: BoundedTextOptions): Promise<string> {
  const input = file === '-' ? process.stdin : createReadStream(file)
  const pieces: string[] = []
  let chars = 0
  try {
    for await (const piece of input.setEncoding('utf8')) {
      pieces.push(String(piece))
      chars += String(piece).length
      if (chars > charsMax) break
    }
  } catch (cause) {
    if (errorCode(cause) !== 'ENOENT') throw withPath(cause, file)
    throw new CommandError(`there is no file ${file}; write one with "${writtenBy}"`, { cause })
  }
  if (chars <= charsMax) return pieces.join('')
  throw new CommandError(`${file === '-' ? 'the input' : file} is larger than ${what} can be; give what "${writtenBy}" wrote`)
}
