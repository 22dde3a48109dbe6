/** What a process said last on stderr, and the line of it that tells most. */

// The last words of a process that aborts: one line of GGML_ASSERT or of CUDA's error, and some context.
const CHARS_MAX = 4_096
const LINE_CHARS_MAX = 300

export interface LastWords {
  add(text: string): void
  /** The first line that names an error with its text, else the last line; undefined where nothing was said. */
  telling(): string | undefined
}

export function createLastWords(): LastWords {
  let said = ''
  return {
    add(text) { said = (said + text).slice(-CHARS_MAX) },
    telling() {
      const lines = said.split('\n').map((line) => line.trim()).filter((line) => line !== '')
      // "CUDA error: the provided PTX was compiled with an unsupported toolchain", and then where in the source.
      const line = lines.find((text) => /\berror: ?\S/i.test(text)) ?? lines.at(-1)
      // Where its builder had the source tells nobody anything.
      return line?.replace(/\/\S*\//, '').slice(0, LINE_CHARS_MAX)
    },
  }
}
