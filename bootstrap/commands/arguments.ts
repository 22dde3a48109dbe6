/** Parsers of settings as parsers of command-line arguments. */
import { usageError } from '../command-error.ts'

/** A RangeError of `parse` becomes wrong usage that names the flag. */
export function argumentOf<T>(flag: string, parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      throw usageError(`${flag} ${cause.message}`, cause)
    }
  }
}

/** For a flag that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...before ?? [], text]
}
