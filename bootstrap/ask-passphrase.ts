/** Asks for a passphrase on the terminal without showing it. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

/** Undefined where nobody is at the terminal. */
export function passphrasePrompt(): ((question: string) => Promise<string>) | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined
  return async (question) => {
    // readline echoes what is typed to its output; this one shows nothing.
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
    const lines = createInterface({ input: process.stdin, output: silent, terminal: true, historySize: 0 })
    process.stderr.write(question)
    try {
      return await lines.question('')
    } finally {
      lines.close()
      process.stderr.write('\n')
    }
  }
}
