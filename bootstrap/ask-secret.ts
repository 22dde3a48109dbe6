/** A secret that a command needs: from the terminal without showing it, or from a pipe. */
import { text as textOf } from 'node:stream/consumers'
import { passphrasePrompt } from './ask-passphrase.ts'
import { usageError } from './command-error.ts'
import { printable } from './terminal.ts'

/** Never as an argument: those stand in the list of processes and in the shell's history. `command` is shown to who gave none. */
export async function askSecret(name: string, command: string): Promise<string> {
  const ask = passphrasePrompt()
  const secret = (ask === undefined ? await textOf(process.stdin) : await ask(`API key for ${printable(name)}: `)).trim()
  if (secret === '') throw usageError(`the key is missing; type it, or pipe it in: printenv MY_KEY | triforce ${command} ${printable(name)}`)
  return secret
}
