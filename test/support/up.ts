/** A real local federation in its own processes, as `triforce up --json` starts it, in a temporary folder. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { UpReport } from '../../bootstrap/state-files.ts'

export const TRIFORCE = join(import.meta.dirname, '..', '..', 'bootstrap', 'triforce.js')

export interface Up {
  readonly report: UpReport
  readonly dir: string
  readonly process: ChildProcess
  /** Ctrl-C, and waits for the end. */
  stop(): Promise<void>
  /** SIGKILL to `up` and to every process it started, at once. */
  killAll(): Promise<void>
}

export interface UpOptions {
  readonly dir?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export function temporaryDir(): string {
  return mkdtempSync(join(tmpdir(), 'triforce-test-'))
}

export function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
}

export async function startUp(options: UpOptions = {}): Promise<Up> {
  const dir = options.dir ?? temporaryDir()
  const child = spawn(process.execPath, [TRIFORCE, 'up', '--json', '--dir', dir, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TRIFORCE_OLLAMA: 'off', ...options.env },
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4_000)
  })
  const exited = once(child, 'exit')
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    void exited.then(() => reject(new Error(`up ended before it was ready:\n${errors}`)))
  })
  const report = JSON.parse(line) as UpReport
  return {
    report,
    dir,
    process: child,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGINT')
      await exited
    },
    async killAll() {
      // `up` first, so that it does not start again what dies after it.
      for (const pid of [child.pid!, ...report.hubs.map((hub) => hub.pid), ...report.contributors.map((one) => one.pid)]) kill(pid)
      await exited
    },
  }
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // It may have ended already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
