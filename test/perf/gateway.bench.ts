/**
 * Question: what does TriForce cost as a gateway, beside Portkey, which keeps no accounts and has one process?
 * A mock vendor, the load generator and the gateways are processes of their own that share this machine's cores. TriForce is a federation
 * as `triforce up` starts it: three hubs, keys, holds, settlements and receipts on two disks. All are measured in interleaved
 * rounds; a ratio is the median of those of the rounds.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cloudEnvNames } from '../../providers/cloud/access-from-env.ts'
import { startChild } from './support/child.ts'
import type { GatewayLoad, LoadMeasured } from './support/gateway-load.ts'
import { startLoadProcess, type LoadProcess } from './support/load-process.ts'
import { MOCK_MODEL } from './support/mock-vendor.ts'
import { startPortkey, type Portkey } from './support/portkey.ts'
import { cpuMs, residentMb } from './support/process-use.ts'
import { median, type BenchRow } from './support/report.ts'

interface UpLine {
  readonly apiKey: string
  readonly hubs: readonly { readonly api: string; readonly pid: number }[]
  readonly contributors: readonly { readonly pid: number }[]
}

/** One way to the answer. */
interface Way {
  readonly name: 'direct' | 'portkey' | 'triforce' | 'libp2p'
  readonly origin: string
  readonly headers: Readonly<Record<string, string>>
  readonly model: string
  /** Whose processor time the answers cost, besides the vendor's and the load generator's. */
  readonly pids: readonly number[]
}

/** What is asked for. `paced`: a token each 20 ms, as from a fast model; the others come as fast as they are taken. */
interface Kind {
  readonly name: string
  readonly stream: boolean
  readonly tokens: number
  readonly steering: string
  readonly forMs: number
}

type Measured = LoadMeasured & { readonly cpuMsPerAnswer: number }
/** By round. */
type Rounds = Partial<Record<Way['name'], Measured[]>>

const kinds = {
  whole: { name: 'whole answers of 16 tokens', stream: false, tokens: 16, steering: 'tokens=16 batch=16', forMs: 800 },
  stream: { name: 'streams of 200 tokens', stream: true, tokens: 200, steering: 'tokens=200 batch=8', forMs: 800 },
  paced: { name: 'streams of 25 tokens, one each 20 ms', stream: true, tokens: 25, steering: 'tokens=25 gapMs=20 batch=1', forMs: 1 },
} as const satisfies Record<string, Kind>

const CONNECTIONS = [1, 32, 200]
const ROUNDS = 5
/** Of all rounds together; on a slow machine there are fewer of them, one at least. */
const MEASURE_MS_MAX = 200_000
/** What a core can do is measured with more and more connections, for as long as 99 of 100 whole answers come in time. */
const WITHIN_MS = 10
const WITHIN_CONNECTIONS = [1, 2, 4, 8, 16, 32]
const PATH = '/v1/chat/completions'
const root = join(import.meta.dirname, '..', '..')
const READY_MS_MAX = 30_000

export async function run(say: (text: string) => void): Promise<readonly BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'triforce-bench-'))
  const mock = await startChild<{ port: number }>([join(import.meta.dirname, 'support', 'mock-vendor.ts')])
  const vendor = `http://127.0.0.1:${mock.ready.port}`
  say('starting a local federation with a bench source and the mock vendor')
  const up = await startChild<UpLine>([join(root, 'bootstrap', 'triforce.js'), 'up', '--json', '--dir', dir, '--credits', '900000'], {
    ...Object.fromEntries(cloudEnvNames.map((name) => [name, ''])),
    OPENAI_API_KEY: 'bench', OPENAI_BASE_URL: `${vendor}/v1`, TRIFORCE_BENCH_SOURCE: 'on', TRIFORCE_OLLAMA: 'off', TRIFORCE_EMBEDDED: 'off',
  })
  const loader = await startLoadProcess()
  const portkey = await startPortkey(say)
  try {
    const ways = waysOf(up.ready, vendor, portkey)
    const idle = memoryRows(up.ready, portkey, 'idle')
    await ready(ways.find(({ name }) => name === 'triforce')!, loader)
    const rows: BenchRow[] = []
    let leftMs = MEASURE_MS_MAX
    let stepsLeft = Object.keys(kinds).length * CONNECTIONS.length
    for (const [label, kind] of Object.entries(kinds)) {
      for (const connections of CONNECTIONS) {
        say(`${kind.name}, ${connections} at once`)
        const startMs = performance.now()
        const rounds = await measure(loader, ways, kind, { connections, untilMs: startMs + leftMs / stepsLeft })
        leftMs -= performance.now() - startMs
        stepsLeft -= 1
        rows.push(...(label === 'paced' ? pacedRows : label === 'stream' ? streamRows : wholeRows)(rounds, connections), ...failureRows(rounds, kind, connections, say))
      }
    }
    say(`whole answers a second and core, with 99 of 100 within ${WITHIN_MS} ms`)
    rows.push(...await withinRows(loader, ways))
    return [...rows, ...idle, ...memoryRows(up.ready, portkey, 'after the load')]
  } finally {
    await loader.stop()
    await portkey?.stop()
    await up.stop()
    await mock.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

function waysOf(up: UpLine, vendor: string, portkey: Portkey | undefined): readonly Way[] {
  const hub = { origin: up.hubs[0]!.api, headers: { authorization: `Bearer ${up.apiKey}` } }
  const hubPids = up.hubs.map(({ pid }) => pid)
  return [
    { name: 'direct', origin: vendor, headers: { authorization: 'Bearer bench' }, model: MOCK_MODEL, pids: [] },
    ...(portkey === undefined ? [] : [{
      name: 'portkey' as const, origin: portkey.origin, model: MOCK_MODEL, pids: [portkey.pid],
      headers: { authorization: 'Bearer bench', 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${vendor}/v1` },
    }]),
    { name: 'triforce', ...hub, model: `openai/${MOCK_MODEL}`, pids: hubPids },
    { name: 'libp2p', ...hub, model: 'bench-source', pids: [...hubPids, ...up.contributors.map(({ pid }) => pid)] },
  ]
}

/** The list of models is read after the start, and credits come to the hub a moment after the account. */
async function ready(way: Way, loader: LoadProcess): Promise<void> {
  const untilMs = performance.now() + READY_MS_MAX
  for (;;) {
    const { answers, firstFailure } = await loader.run(loadOf(way, { ...kinds.whole, forMs: 1 }, 1))
    if (answers > 0) return
    if (performance.now() > untilMs) throw new Error(`no answer through TriForce: ${firstFailure}`)
    await new Promise((resolve) => { setTimeout(resolve, 200) })
  }
}

function loadOf({ origin, headers, model }: Way, { stream, tokens, steering, forMs }: Kind, connections: number): GatewayLoad {
  const body = JSON.stringify({ model, stream, max_tokens: tokens, messages: [{ role: 'user', content: steering }] })
  return { origin, path: PATH, headers: { ...headers, 'content-type': 'application/json' }, body, connections, forMs, tokens }
}

async function measure(loader: LoadProcess, ways: readonly Way[], kind: Kind, { connections, untilMs }: { readonly connections: number; readonly untilMs: number }): Promise<Rounds> {
  const rounds: Rounds = {}
  for (let round = 0; round <= ROUNDS && (round < 2 || performance.now() < untilMs); round += 1) {
    // Each way comes first once.
    const order = [...ways.slice(round % ways.length), ...ways.slice(0, round % ways.length)]
    for (const way of order) {
      const beforeMs = used(way.pids)
      const measured = await loader.run(loadOf(way, kind, connections))
      // The first round warms up.
      if (round > 0) (rounds[way.name] ??= []).push({ ...measured, cpuMsPerAnswer: (used(way.pids) - beforeMs) / measured.answers })
    }
  }
  return rounds
}

function used(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMs(pid), 0)
}

type Figure = (measured: Measured, direct: Measured) => number

/** A row for each way of TriForce; the ratio to Portkey is the median of the rounds', and the medians stand beside it. */
function rowsOf(rounds: Rounds, what: string, unit: string, figure: Figure, goals: { readonly triforce?: string; readonly libp2p?: string } = {}): BenchRow[] {
  const figures = (name: Way['name']) => rounds[name]?.map((measured, round) => figure(measured, rounds.direct![round]!))
  const theirs = figures('portkey')
  return (['triforce', 'libp2p'] as const).map((name): BenchRow => {
    const ours = figures(name)!
    const goal = goals[name]
    return {
      measure: `${what}: ${name === 'triforce' ? 'cloud' : 'libp2p'}`, unit, value: median(ours),
      ...(theirs === undefined ? {} : { against: median(theirs), ratio: median(ours.map((value, round) => value / theirs[round]!)) }),
      ...(goal === undefined ? {} : { goal }),
    }
  })
}

function directRow(rounds: Rounds, what: string, unit: string, figure: Figure): BenchRow {
  return { measure: `${what}: direct`, unit, value: median(rounds.direct!.map((measured) => figure(measured, measured))) }
}

const answerRate: Figure = ({ requestsPerSecond }) => requestsPerSecond
const tokenRate: Figure = ({ tokensPerSecond }) => tokensPerSecond
const addedP50: Figure = ({ wholeMs }, direct) => wholeMs.p50 - direct.wholeMs.p50
const addedP99: Figure = ({ wholeMs }, direct) => wholeMs.p99 - direct.wholeMs.p99
const firstP50: Figure = ({ firstMs }) => firstMs.p50
const gapP99: Figure = ({ gapMs }) => gapMs.p99
const processorTime: Figure = ({ cpuMsPerAnswer }) => cpuMsPerAnswer

function wholeRows(rounds: Rounds, connections: number): BenchRow[] {
  const name = `whole, ${connections} at once`
  return [
    directRow(rounds, `${name}: answers`, '/s', answerRate),
    ...rowsOf(rounds, `${name}: answers`, '/s', answerRate, { triforce: '>= 2', libp2p: '>= 1' }),
    ...rowsOf(rounds, `${name}: added p50`, 'ms', addedP50, { triforce: '<= 0.5' }),
    ...rowsOf(rounds, `${name}: added p99`, 'ms', addedP99),
    ...rowsOf(rounds, `${name}: processor time`, 'ms', processorTime),
  ]
}

function streamRows(rounds: Rounds, connections: number): BenchRow[] {
  const name = `streams, ${connections} at once`
  return [
    directRow(rounds, `${name}: tokens`, '/s', tokenRate),
    ...rowsOf(rounds, `${name}: tokens`, '/s', tokenRate, { triforce: '>= 2', libp2p: '>= 2' }),
    directRow(rounds, `${name}: first token p50`, 'ms', firstP50),
    ...rowsOf(rounds, `${name}: first token p50`, 'ms', firstP50, { triforce: '<= 0.2' }),
    ...rowsOf(rounds, `${name}: processor time`, 'ms', processorTime),
  ]
}

function pacedRows(rounds: Rounds, connections: number): BenchRow[] {
  const name = `paced, ${connections} at once`
  return [
    directRow(rounds, `${name}: first token p50`, 'ms', firstP50),
    ...rowsOf(rounds, `${name}: first token p50`, 'ms', firstP50, { triforce: '<= 0.2' }),
    directRow(rounds, `${name}: between pieces p99`, 'ms', gapP99),
    ...rowsOf(rounds, `${name}: between pieces p99`, 'ms', gapP99),
  ]
}

/** The most answers for a second of processor time among the numbers of connections that keep the bound; 0 where none does. */
async function withinRows(loader: LoadProcess, ways: readonly Way[]): Promise<BenchRow[]> {
  const best: Partial<Record<Way['name'], number>> = {}
  for (const way of ways.filter(({ pids }) => pids.length > 0)) {
    for (const connections of WITHIN_CONNECTIONS) {
      const beforeMs = used(way.pids)
      const { answers, wholeMs } = await loader.run(loadOf(way, kinds.whole, connections))
      if (wholeMs.p99 > WITHIN_MS) break
      best[way.name] = Math.max(best[way.name] ?? 0, answers * 1_000 / (used(way.pids) - beforeMs))
    }
  }
  const theirs = best.portkey ?? 0
  return (['triforce', 'libp2p'] as const).map((name): BenchRow => {
    const value = best[name] ?? 0
    return {
      measure: `whole, 99 of 100 within ${WITHIN_MS} ms: answers a second and core: ${name === 'triforce' ? 'cloud' : 'libp2p'}`, unit: '/s', value,
      ...(theirs === 0 ? {} : { against: theirs, ratio: value / theirs }),
    }
  })
}

/** TriForce must not lose an answer; what others lose is told. */
function failureRows(rounds: Rounds, kind: Kind, connections: number, say: (text: string) => void): BenchRow[] {
  return Object.entries(rounds).flatMap(([name, measured]) => {
    const failures = measured.reduce((sum, one) => sum + one.failures, 0)
    if (failures === 0) return []
    const first = measured.find(({ firstFailure }) => firstFailure !== '')!.firstFailure
    if (name !== 'portkey') throw new Error(`${kind.name}, ${connections} at once, ${name}: ${failures} answers failed, the first with: ${first}`)
    say(`Portkey failed ${failures} times, first with: ${first}`)
    return [{ measure: `${kind.name}, ${connections} at once: failed at Portkey`, unit: 'answers', value: failures }]
  })
}

function memoryRows(up: UpLine, portkey: Portkey | undefined, when: string): BenchRow[] {
  const theirs = portkey === undefined ? undefined : residentMb(portkey.pid)
  return [['hub', up.hubs[0]!.pid], ['contributor', up.contributors[0]!.pid]].map(([name, pid]): BenchRow => {
    const value = residentMb(Number(pid))
    return { measure: `memory of a ${name}, ${when}`, unit: 'MB', value, ...(theirs === undefined ? {} : { against: theirs, ratio: value / theirs }) }
  })
}
