/** A helper process of a bench: prints one JSON line when it is ready and ends with its parent. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface BenchChild<Ready> {
  readonly ready: Ready
  readonly process: ChildProcess
  stop(): Promise<void>
}

export async function startChild<Ready>(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<BenchChild<Ready>> {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', process.env['BENCH_VERBOSE'] === '1' ? 'inherit' : 'ignore'], env: { ...process.env, ...env } })
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
  })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code} before it was ready`)))
  })
  return {
    ready: JSON.parse(line) as Ready,
    process: child,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
