/**
 * `npm run test:package`: packs the project, installs the package into an empty folder and uses it there as a stranger
 * would: `npx triforce up`, one question, Ctrl-C. Says what is wrong and exits with 1.
 * The engine is installed on demand, so the package must not bring its GPU builds along.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { chat } from '../support/chat-client.ts'
import type { UpReport } from '../../bootstrap/state-files.ts'

const SIZE_BYTES_MAX = 250 * 1024 * 1024
const root = join(import.meta.dirname, '..', '..')
const dir = mkdtempSync(join(tmpdir(), 'triforce-package-'))
// The Node that runs this script runs the package too, also where the system's is older.
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`, TRIFORCE_OLLAMA: 'off', npm_config_loglevel: 'error' }

function npm(args: readonly string[], cwd: string): string {
  return execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
  process.stdout.write(`ok ${what}\n`)
}

try {
  npm(['pack', '--pack-destination', dir], root)
  const tarball = readdirSync(dir).find((name) => name.endsWith('.tgz'))
  check(tarball !== undefined, 'npm pack makes a package')
  npm(['init', '-y'], dir)
  npm(['install', '--no-audit', '--no-fund', `./${tarball}`], dir)
  const installed = Number(execFileSync('du', ['-sb', join(dir, 'node_modules')], { encoding: 'utf8' }).split('\t')[0])
  check(installed <= SIZE_BYTES_MAX, `it installs ${Math.round(installed / 1024 / 1024)} MB`)
  check(!readdirSync(join(dir, 'node_modules')).some((name) => name.includes('node-llama-cpp')), 'it brings no engine and no GPU package')

  const state = join(dir, 'state')
  const up = spawn('npx', ['triforce', 'up', '--json', '--dir', state], { cwd: dir, env, stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const exited = once(up, 'exit')
  const line = await Promise.race([
    new Promise<string>((resolve) => {
      createInterface({ input: up.stdout }).once('line', resolve)
    }),
    exited.then(() => {
      throw new Error('triforce up ended before it was ready')
    }),
  ])
  const report = JSON.parse(line) as UpReport
  check(report.model === 'triforce-demo', 'npx triforce up offers the demo model')
  const answer = await chat({ api: report.hubs[0]!.api, apiKey: report.apiKey, model: report.model, content: 'What is TriForce?' })
  check(answer.done && answer.text.startsWith('TriForce is'), `it answers: ${answer.text.slice(0, 60)}…`)
  process.kill(-up.pid!, 'SIGINT')
  await exited
  const engines = join(homedir(), '.triforce', 'engines')
  const engine = readdirSync(engines, { recursive: true, encoding: 'utf8' })
  check(!engine.some((name) => /cuda|vulkan/.test(name) && name.includes('@node-llama-cpp')), 'the engine that was installed on demand has no GPU package')
} catch (error) {
  process.stdout.write(`FAILED: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
}
