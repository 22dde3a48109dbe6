/**
 * The Portkey gateway beside the gateway bench: installed on demand into its own folder, from its own lock file, and started as
 * its makers do. Undefined where npm cannot reach its registry.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface Portkey {
  readonly origin: string
  readonly pid: number
  stop(): Promise<void>
}

const dir = join(import.meta.dirname, '..', 'portkey')
const entry = join(dir, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js')
const INSTALL_MS_MAX = 120_000
const START_MS_MAX = 20_000

export async function startPortkey(say: (text: string) => void): Promise<Portkey | undefined> {
  if (!existsSync(entry)) {
    say('installing the Portkey gateway into test/perf/portkey')
    const reason = await install()
    if (reason !== undefined) {
      say(`the Portkey gateway could not be installed, the rest runs without it: ${reason}`)
      return undefined
    }
  }
  const port = await freePort()
  const child = spawn(process.execPath, [entry, `--port=${port}`, '--headless'], { cwd: dir, stdio: 'ignore', env: { ...process.env, NODE_ENV: 'production' } })
  const ended = once(child, 'exit')
  const origin = `http://127.0.0.1:${port}`
  const untilMs = performance.now() + START_MS_MAX
  while (!await isUp(origin)) {
    if (child.exitCode !== null || performance.now() > untilMs) {
      child.kill('SIGKILL')
      say('the Portkey gateway did not start, the rest runs without it')
      return undefined
    }
    await new Promise((resolve) => { setTimeout(resolve, 100) })
  }
  return {
    origin, pid: child.pid!,
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Gives the reason where it failed. */
async function install(): Promise<string | undefined> {
  const child = spawn('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=0'], {
    cwd: dir, stdio: ['ignore', 'ignore', 'pipe'], timeout: INSTALL_MS_MAX, shell: process.platform === 'win32',
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-2_000) })
  const code = await new Promise<number | string | null>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', resolve)
  })
  if (code === 0) return undefined
  return said.split('\n').find((line) => line.trim() !== '')?.slice(0, 200) ?? `npm ended with ${code ?? 'a signal'}`
}

async function isUp(origin: string): Promise<boolean> {
  try {
    return (await fetch(origin)).ok
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
