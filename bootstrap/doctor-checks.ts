/** The checks of `triforce doctor`. Each gives one line: what was found, and the way out where something is wrong. */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { CLOCK_SKEW_MS_MAX } from '../protocol/limits.ts'
import type { Federation } from '../protocol/federation.ts'
import { findEngine } from '../providers/embedded/engine-install.ts'
import { describeError } from './command-error.ts'
import { configDefaults } from './config.ts'
import { readFederationFile } from './federation-file.ts'
import { inspectKeyFile, keyFilePath } from './identity.ts'
import { parseOllamaHost } from './option-parsers.ts'
import { machineChecks } from './machine-checks.ts'
import { isPortFree } from './local-federation/ports.ts'
import { nodeStatePath, nodeStateSchema, readState, upStatePath, upStateSchema, type UpReport } from './state-files.ts'
import { upDefaults } from './up.ts'

export type CheckResult = 'ok' | 'warn' | 'fail'

export interface Check {
  readonly name: string
  readonly result: CheckResult
  /** What was found, and the way out. */
  readonly text: string
  /** The same for programs, where there is more to it. */
  readonly data?: object
}

export interface DoctorInput {
  readonly dir: string
  /** A file that was named; else the one in `dir` is looked at, where there is one. */
  readonly federationFile: string | undefined
  readonly env: NodeJS.ProcessEnv
  /** Neither asks the engine for its devices nor measures the line to the hubs. */
  readonly quick: boolean
}

const GIB = 1024 ** 3
const DISK_WARN_BYTES = 5 * GIB
const DISK_FAIL_BYTES = 256 * 1024 ** 2
const ANSWER_MS_MAX = 2_000
/** HTTP dates have whole seconds. */
const SKEW_WARN_MS = 5_000

export async function runChecks(input: DoctorInput): Promise<readonly Check[]> {
  const up = (await readState(upStateSchema, upStatePath(input.dir)))?.report
  const federation = await federationOf(input)
  const ollamaCheck = await guarded('Ollama', () => ollama(input.env))
  const [general, machine] = await Promise.all([
    generalChecks(input, up, federation, ollamaCheck),
    guardedList('machine', () => machineChecks({
      dir: input.dir, ollamaAnswers: ollamaCheck.text.startsWith('version'), quick: input.quick, federation: federation.federation,
    })),
  ])
  return [...general, ...machine]
}

async function generalChecks(input: DoctorInput, up: UpReport | undefined, federation: Awaited<ReturnType<typeof federationOf>>, ollamaCheck: Check): Promise<readonly Check[]> {
  return [
    nodeVersion(),
    await guarded('state folder', () => stateFolder(input.dir)),
    ...await Promise.all([
      guarded('disk', () => disk(input.dir)),
      guarded('keys', () => keys(input.dir)),
    ]),
    federation.check,
    ...await Promise.all([
      guarded('local federation', () => localFederation(input.dir, up)),
      guarded('ports', () => ports(up)),
      guarded('clock', () => clock(up, federation.federation)),
      guarded('llama.cpp', engine),
    ]),
    ollamaCheck,
  ]
}

async function guardedList(name: string, checks: () => Promise<readonly Check[]>): Promise<readonly Check[]> {
  try {
    return await checks()
  } catch (error) {
    return [{ name, result: 'fail', text: describeError(error).sentence }]
  }
}

async function guarded(name: string, check: () => Promise<Omit<Check, 'name'>>): Promise<Check> {
  try {
    return { name, ...await check() }
  } catch (error) {
    return { name, result: 'fail', text: describeError(error).sentence }
  }
}

function nodeVersion(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const good = major > 22 || (major === 22 && minor >= 18)
  return {
    name: 'Node', result: good ? 'ok' : 'fail',
    text: good ? `version ${process.versions.node}` : `version ${process.versions.node} is too old; get 22.18 or newer from https://nodejs.org`,
  }
}

async function stateFolder(dir: string): Promise<Omit<Check, 'name'>> {
  if (!existsSync(dir)) return { result: 'ok', text: `${dir} does not exist yet; the first start makes it` }
  const probe = join(dir, `.doctor-${randomUUID()}`)
  try {
    await writeFile(probe, 'ok', { mode: 0o600 })
    await unlink(probe)
  } catch {
    return { result: 'fail', text: `${dir} cannot be written; give the user that runs TriForce the right to, or name another --dir` }
  }
  if (process.platform !== 'win32' && ((await stat(dir)).mode & 0o077) !== 0) {
    return { result: 'warn', text: `${dir} can be read by other users; close it with: chmod 700 ${dir}` }
  }
  return { result: 'ok', text: dir }
}

async function disk(dir: string): Promise<Omit<Check, 'name'>> {
  const found = await statfs(existsSync(dir) ? dir : homedir())
  const free = found.bavail * found.bsize
  const text = `${(free / GIB).toFixed(1)} GiB free`
  if (free < DISK_FAIL_BYTES) return { result: 'fail', text: `${text}; a ledger needs room to grow, make some or name another --dir` }
  if (free < DISK_WARN_BYTES) return { result: 'warn', text: `${text}; enough to run, little for models` }
  return { result: 'ok', text }
}

/** The key of this folder and those of the nodes below it, as `up` lays them out. */
async function keys(dir: string): Promise<Omit<Check, 'name'>> {
  const entries = existsSync(dir) ? await readdir(dir, { withFileTypes: true }) : []
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => join(dir, entry.name))
  const found: string[] = []
  for (const folder of [dir, ...below]) {
    if (await inspectKeyFile(folder) !== undefined) found.push(keyFilePath(folder))
  }
  if (found.length === 0) return { result: 'ok', text: 'none yet; the first start makes one' }
  return { result: 'ok', text: found.length === 1 ? `${found[0]} is readable by you only` : `${found.length} keys, readable by you only` }
}

async function federationOf({ dir, federationFile }: DoctorInput): Promise<{ check: Check; federation?: Federation }> {
  const path = federationFile ?? join(dir, 'federation.json')
  const name = 'federation file'
  if (federationFile === undefined && !existsSync(path)) {
    return { check: { name, result: 'ok', text: 'none yet; "triforce up" makes one, a real federation\'s comes from a hub admin' } }
  }
  try {
    const federation = await readFederationFile(path)
    return { check: { name, result: 'ok', text: `${path}: ${federation.network} (${federation.kind}), signed by its three hubs` }, federation }
  } catch (error) {
    return { check: { name, result: 'fail', text: describeError(error).sentence } }
  }
}

async function localFederation(dir: string, up: UpReport | undefined): Promise<Omit<Check, 'name'>> {
  if (up === undefined) {
    const node = await readState(nodeStateSchema, nodeStatePath(dir))
    if (node === undefined) return { result: 'ok', text: 'nothing runs here; "triforce up" starts a federation' }
    const answers = await dateOf(node.api) !== undefined
    return answers
      ? { result: 'ok', text: `the ${node.mode} ${node.name} answers at ${node.api}` }
      : { result: 'fail', text: `the ${node.mode} ${node.name} does not answer at ${node.api}; look at its log, then start it again` }
  }
  const silent: string[] = []
  for (const hub of up.hubs) if (await dateOf(hub.api) === undefined) silent.push(hub.name)
  if (silent.length === 0) {
    const contributors = up.contributors.length === 1 ? '1 contributor' : `${up.contributors.length} contributors`
    return { result: 'ok', text: `three hubs and ${contributors} run; API ${up.hubs[0]?.api ?? ''}/v1` }
  }
  if (silent.length < up.hubs.length) {
    return { result: 'warn', text: `${silent.join(', ')} does not answer; look at node.log in its folder below ${dir}` }
  }
  return { result: 'fail', text: `no hub answers; "triforce up" was ended without a stop, start it again` }
}

async function ports(up: UpReport | undefined): Promise<Omit<Check, 'name'>> {
  if (up !== undefined) return { result: 'ok', text: `in use by the federation here: ${up.hubs.map((hub) => new URL(hub.api).port).join(', ')}` }
  const wanted = [upDefaults.p2pPort, upDefaults.apiPort].flatMap((port) => [port, port + 1, port + 2])
  const busy: number[] = []
  for (const port of wanted) if (!await isPortFree(port)) busy.push(port)
  if (busy.length === 0) return { result: 'ok', text: `${wanted.join(', ')} are free` }
  return { result: 'warn', text: `${busy.join(', ')} in use by other programs; "up" takes the next free ones, "start" needs --api-port and --p2p` }
}

async function clock(up: UpReport | undefined, federation: Federation | undefined): Promise<Omit<Check, 'name'>> {
  const apis = up?.hubs.map((hub) => hub.api) ?? federation?.hubs.flatMap((hub) => hub.addresses.flatMap(apiGuess)) ?? []
  const before = Date.now()
  const dates = (await Promise.all(apis.map(dateOf))).filter((date) => date !== undefined)
  const now = (before + Date.now()) / 2
  if (dates.length === 0) return { result: 'ok', text: 'not compared: no hub\'s HTTP API can be reached from here' }
  const skew = Math.max(...dates.map((date) => Math.abs(date - now)))
  const text = `${(skew / 1_000).toFixed(0)} s from the hubs`
  if (skew > CLOCK_SKEW_MS_MAX) return { result: 'fail', text: `${text}; tickets and announcements are refused, set this machine's clock (NTP)` }
  if (skew > SKEW_WARN_MS) return { result: 'warn', text: `${text}; set this machine's clock (NTP) before it is too far off` }
  return { result: 'ok', text }
}

/** A hub's HTTP API usually stands at its host's default port; it may also be closed to the outside. */
function apiGuess(address: string): string[] {
  const [, kind, host] = address.split('/')
  if (host === undefined) return []
  return [`http://${kind === 'ip6' ? `[${host}]` : host}:${configDefaults.apiPort}`]
}

/** The date header of a node that answers, as Unix milliseconds; on average half a second was cut off. */
async function dateOf(api: string): Promise<number | undefined> {
  try {
    const response = await fetch(`${api}/health`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
    await response.body?.cancel()
    const date = Date.parse(response.headers.get('date') ?? '')
    return Number.isNaN(date) ? undefined : date + 500
  } catch {
    return undefined
  }
}

async function engine(): Promise<Omit<Check, 'name'>> {
  const found = await findEngine({ enginesDir: configDefaults.enginesDir })
  if (found === undefined) return { result: 'warn', text: 'not installed; the first contributor installs it (75 MB), or "triforce engine install" now, or run Ollama' }
  return { result: 'ok', text: `node-llama-cpp ${found.version}${found.gpu === undefined ? '' : ` with ${found.gpu}`}` }
}

async function ollama(env: NodeJS.ProcessEnv): Promise<Omit<Check, 'name'>> {
  const given = env['TRIFORCE_OLLAMA'] || env['OLLAMA_HOST']
  const host = given === undefined ? { url: configDefaults.ollamaHost } : parseOllamaHost(given)
  if (host === 'off') return { result: 'ok', text: 'switched off' }
  try {
    const response = await fetch(`${host.url}/api/version`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
    const { version } = await response.json() as { version?: unknown }
    if (typeof version === 'string') return { result: 'ok', text: `version ${version} at ${host.url}` }
  } catch {
    // Told below.
  }
  const text = `none at ${host.url}`
  return given === undefined
    ? { result: 'ok', text: `${text}; it is not needed, install it from https://ollama.com to lend its models` }
    : { result: 'warn', text: `${text}; start it with "ollama serve", or correct OLLAMA_HOST` }
}
