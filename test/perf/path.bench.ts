/**
 * Question: what does the whole path (HTTP, hub, libp2p, contributor, receipt on two disks) cost over its bare parts?
 * All pairs are measured in interleaved rounds of one run, on processes of this machine that share its cores.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createLog } from '../../bootstrap/log.ts'
import { createClock, createRandom } from '../../bootstrap/system.ts'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { benchToken } from '../../providers/bench-source.ts'
import { findEngine } from '../../providers/embedded/engine-install.ts'
import { createEmbeddedProvider } from '../../providers/embedded/provider.ts'
import { startChild } from './support/child.ts'
import { createBareNode, ECHO_PROTOCOL } from './support/echo-peer.ts'
import { CONTENT, load, readStream, stream, type Span } from './support/http-load.ts'
import { cpuMs, residentMb } from './support/process-use.ts'
import { median, ratioRow, type BenchRow } from './support/report.ts'

interface UpLine {
  readonly apiKey: string
  readonly model: string
  readonly hubs: readonly { api: string; pid: number }[]
  readonly contributors: readonly { pid: number }[]
}

const ROUNDS = 5
/** Both sides of a relay run this long before they are measured: code is compiled while it runs. */
const WARM_MS = 8_000
/** The same for jobs, which run through far more code. */
const WARM_JOBS_MS = 40_000
const PATH = '/v1/chat/completions'
const root = join(import.meta.dirname, '..', '..')
const DEMO_MODEL = 'triforce-demo'
const benchDemo = join(root, 'providers', 'demo-model', 'triforce-demo.gguf')

export async function run(say: (text: string) => void): Promise<readonly BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'triforce-bench-'))
  const rows: BenchRow[] = []
  say('starting a local federation with a bench source')
  const startMs = performance.now()
  const up = await startChild<UpLine>([join(root, 'bootstrap', 'triforce.js'), 'up', '--json', '--dir', dir], { TRIFORCE_BENCH_SOURCE: 'on', TRIFORCE_OLLAMA: 'off' })
  const upSeconds = (performance.now() - startMs) / 1_000
  try {
    const { ready } = up
    rows.push({ measure: 'up to ready', unit: 's', value: upSeconds })
    rows.push({ measure: 'memory of an idle hub', unit: 'MB', value: residentMb(ready.hubs[0]!.pid) })
    rows.push({ measure: 'memory of an idle contributor, without its engine', unit: 'MB', value: residentMb(ready.contributors[0]!.pid) })
    say('engine: direct and through the federation')
    rows.push(...await engineRows(ready, dir))
    say('relay: tokens per second')
    for (const streams of [1, 32, 200]) rows.push(await relayRow(ready, streams))
    say('jobs with receipts')
    rows.push(...await jobsRows(ready))
    rows.push({ measure: 'memory of the hub after the load', unit: 'MB', value: residentMb(ready.hubs[0]!.pid) })
  } finally {
    await up.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  return rows
}

async function engineRows(up: UpLine, dir: string): Promise<BenchRow[]> {
  const engine = await findEngine({ enginesDir: join(dir, 'engines') })
  const provider = createEmbeddedProvider(
    { clock: createClock(), random: createRandom(), log: createLog({ level: 'error', json: false }) },
    { engine, models: [{ path: benchDemo, keepLoaded: true }] },
  )
  await provider.start()
  const question = 'What is TriForce?'
  const request: CompletionRequest = {
    model: DEMO_MODEL, messages: [{ role: 'user', content: question }], continueLast: false, temperature: 0, stop: [], responseFormat: { type: 'text' },
  }
  const body = JSON.stringify({ model: DEMO_MODEL, stream: true, temperature: 0, messages: request.messages })
  const direct: { first: number[]; total: number[] } = { first: [], total: [] }
  const through: { first: number[]; total: number[] } = { first: [], total: [] }
  for (let round = 0; round < 12; round += 1) {
    const start = performance.now()
    let first = 0
    for await (const event of provider.run(request, { signal: new AbortController().signal })) {
      if (event.type === 'text' && first === 0) first = performance.now() - start
    }
    const total = performance.now() - start
    const answer = await stream({ origin: up.hubs[0]!.api, path: PATH, apiKey: up.apiKey, body })
    // The first rounds warm both up.
    if (round < 2) continue
    direct.first.push(first)
    direct.total.push(total)
    through.first.push(answer.firstMs)
    through.total.push(answer.totalMs)
  }
  await provider.close()
  return [
    ratioRow('time to first token: federation / engine alone', 'ms', median(through.first), median(direct.first)),
    ratioRow('time of the whole answer: federation / engine alone', 'ms', median(through.total), median(direct.total)),
  ]
}

async function relayRow(up: UpLine, streams: number): Promise<BenchRow> {
  // From the first piece on: the job around the stream is measured by other rows.
  const tokens = streams === 1 ? 32_000 : 8_000
  const text = Array.from({ length: tokens }, (_, index) => benchToken(index)).join('')
  const body = JSON.stringify({ model: 'bench-source', stream: true, max_tokens: tokens, messages: [{ role: 'user', content: `tokens=${tokens}` }] })
  const echo = await startChild<{ address: string }>([join(import.meta.dirname, 'support', 'echo-peer.ts')])
  const node = await createBareNode([])
  const connection = await node.dial(multiaddr(echo.ready.address))
  const relayed: number[] = []
  const echoed: number[] = []
  const startMs = performance.now()
  while (relayed.length < ROUNDS) {
    const answers = await Promise.all(Array.from({ length: streams }, () => readStream({ origin: up.hubs[0]!.api, path: PATH, apiKey: up.apiKey, body })))
    const bad = answers.find((answer) => !answer.text.includes(benchToken(tokens - 1).trim()) || !answer.text.trimEnd().endsWith('data: [DONE]'))
    if (bad !== undefined) throw new Error(`incomplete stream: …${bad.text.slice(-300)}`)
    const pieces = answers.reduce((sum, answer) => sum + answer.text.split(CONTENT).length - 1, 0)
    const pieceBytes = Math.ceil(text.length * streams / pieces)
    const echoes = await Promise.all(Array.from({ length: streams }, async () =>
      await echoOnce(await connection.newStream(ECHO_PROTOCOL, { maxOutboundStreams: 1_024 }), Buffer.from(text), pieceBytes)))
    if (performance.now() - startMs < WARM_MS) continue
    relayed.push((tokens * streams) / spanMs(answers) * 1_000)
    echoed.push((tokens * streams) / spanMs(echoes) * 1_000)
  }
  await node.stop()
  await echo.stop()
  return ratioRow(`relay, ${streams} streams / bare libp2p echo of the same text`, 'tokens/s', median(relayed), median(echoed), '>= 0.5')
}

/** From the first piece of any stream, where it is sent or where it comes, to the last of all. */
function spanMs(streams: readonly Span[]): number {
  return Math.max(...streams.map(({ lastAtMs }) => lastAtMs)) - Math.min(...streams.map(({ firstAtMs }) => firstAtMs))
}

/** Sends the text in pieces of the size in which the answers came, and waits until as many bytes came back: all of it may be on its way before the first is back. */
async function echoOnce(channel: Stream, text: Uint8Array, pieceBytes: number): Promise<Span> {
  let back = 0
  const firstAtMs = performance.now()
  const done = new Promise<void>((resolve, reject) => {
    channel.addEventListener('message', (event) => {
      back += event.data.byteLength
      if (back >= text.byteLength) resolve()
    })
    channel.addEventListener('close', () => reject(new Error('the echo broke off')))
  })
  for (let offset = 0; offset < text.byteLength; offset += pieceBytes) {
    if (channel.send(text.subarray(offset, offset + pieceBytes))) continue
    await new Promise<void>((resolve) => {
      channel.addEventListener('drain', () => resolve(), { once: true })
    })
  }
  await done
  const lastAtMs = performance.now()
  await channel.close()
  return { firstAtMs, lastAtMs }
}

async function jobsRows(up: UpLine): Promise<BenchRow[]> {
  const bare = await startChild<{ port: number }>([join(import.meta.dirname, 'support', 'bare-http.ts')])
  const body = JSON.stringify({ model: 'bench-source', max_tokens: 2, messages: [{ role: 'user', content: 'tokens=2' }] })
  const common = { path: PATH, apiKey: up.apiKey, body, concurrency: 32 }
  const check = (answer: string) => {
    if (!answer.includes('"rcpt_')) throw new Error(`no receipt: ${answer.slice(0, 300)}`)
  }
  const jobCount = 3_000
  const processes = [
    { name: 'hub that clears', pids: [up.hubs[0]!.pid] },
    { name: 'hub that copies', pids: [up.hubs[1]!.pid, up.hubs[2]!.pid] },
    { name: 'contributor', pids: [up.contributors[0]!.pid] },
  ].map((each) => ({ ...each, perJobMs: [] as number[] }))
  const jobs: number[] = []
  const bareRates: number[] = []
  const bareMsPerRequest: number[] = []
  const startMs = performance.now()
  while (jobs.length < ROUNDS) {
    const before = processes.map(({ pids }) => used(pids))
    const jobsMs = await load({ ...common, origin: up.hubs[0]!.api, requests: jobCount, check })
    const after = processes.map(({ pids }) => used(pids))
    const bareBefore = cpuMs(bare.process.pid!)
    const bareMs = await load({ ...common, origin: `http://127.0.0.1:${bare.ready.port}`, requests: 2 * jobCount, check })
    if (performance.now() - startMs < WARM_JOBS_MS) continue
    jobs.push(jobCount / jobsMs * 1_000)
    bareRates.push(2 * jobCount / bareMs * 1_000)
    bareMsPerRequest.push((cpuMs(bare.process.pid!) - bareBefore) / (2 * jobCount))
    for (const [index, { perJobMs, pids }] of processes.entries()) perJobMs.push((after[index]! - before[index]!) / jobCount / pids.length)
  }
  await bare.stop()
  return [
    ratioRow('jobs with receipts on two disks, 32 at once / bare fastify', 'jobs/s', median(jobs), median(bareRates), '>= 0.3'),
    ...processes.map(({ name, perJobMs }) => ratioRow(`processor time of a job: ${name} / bare fastify`, 'ms', median(perJobMs), median(bareMsPerRequest))),
  ]
}

function used(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMs(pid), 0)
}
