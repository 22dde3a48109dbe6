/** Joins the command line to this process: its streams, its environment, its exit code. */
import { fileURLToPath } from 'node:url'
import { runCli } from './cli.ts'
import { exitCodes } from './command-error.ts'
import { parentOf } from './local-federation/parent.ts'
import { createTerminal } from './terminal.ts'

export async function runMain(words: readonly string[], entry: URL): Promise<void> {
  // `triforce models | head -1` closes the pipe early; that is no error of ours. What runs on, such as `triforce up | head -1`,
  // listens for signals and is stopped in order.
  let closed = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' || closed) return
    closed = true
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(exitCodes.ok)
  })
  // A terminal that was closed takes no more lines, but what runs must still be stopped in order.
  process.stderr.on('error', () => {})
  process.exitCode = await runCli(words, {
    terminal: createTerminal(),
    env: process.env,
    entry: fileURLToPath(entry),
    parent: parentOf(process),
    startNode: async (config, system) => (await import('./compose.ts')).startNode(config, system),
  })
}
