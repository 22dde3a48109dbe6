/** Runs the command line inside this process, against a kept terminal. */
import { runCli } from '../../bootstrap/cli.ts'
import { keptTerminal } from './process-terminal.ts'

export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function cli(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> {
  const terminal = keptTerminal()
  const code = await runCli(words, {
    terminal, env, entry: '', startNode: () => Promise.reject(new Error('no node is started by these tests')),
  })
  return { code, stdout: terminal.stdout(), stderr: terminal.stderr() }
}
