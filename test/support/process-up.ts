/** Runs the real command `triforce` as a process, and `triforce up` as one that stays. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { upReportSchema, type UpReport } from '../../bootstrap/state-files.ts'

const MAIN = fileURLToPath(new URL('../../bootstrap/main.ts', import.meta.url))

/** The settings of who runs the tests must not reach the nodes. */
function cleanEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('TRIFORCE_') && name !== 'OLLAMA_HOST')
  return { ...Object.fromEntries(kept), ...env }
}

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export async function triforce(words: readonly string[], options: { readonly env?: NodeJS.ProcessEnv; readonly input?: string } = {}): Promise<CommandResult> {
  const child = spawn(process.execPath, [MAIN, ...words], { env: cleanEnv(options.env ?? {}), stdio: 'pipe' })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  child.stdin.end(options.input ?? '')
  const [code] = await once(child, 'close') as [number | null]
  return { code, stdout, stderr }
}

export interface RunningUp {
  readonly process: ChildProcess
  readonly report: UpReport
  /** The one line as it came. */
  readonly line: string
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves with the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

/** Resolves when `up --json` has printed its line. */
export async function startUp(dir: string, words: readonly string[], options: { readonly env?: NodeJS.ProcessEnv } = {}): Promise<RunningUp> {
  const child = spawn(process.execPath, [MAIN, 'up', '--json', '--dir', dir, ...words], { env: cleanEnv(options.env ?? {}), stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  const ended = once(child, 'close') as Promise<[number | null]>
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text)),
    ended.then(([code]) => { throw new Error(`"triforce up" ended with ${code} before it was ready: ${stderr}`) }),
  ])
  return {
    process: child,
    line,
    report: upReportSchema.parse(JSON.parse(line)),
    stdout: () => stdout,
    stderr: () => stderr,
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      return (await ended)[0]
    },
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
