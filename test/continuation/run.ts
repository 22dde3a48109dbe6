/**
 * `npm run test:continuation -- [--streams 100] [--together 4] [--seed S] [--how SIGKILL,SIGSTOP,cut,reset] [--path hub,direct] [--requests 24]`
 *
 * Greedy streams of 300 tokens from two contributors in processes of their own. At a random place the one that answers is
 * killed, frozen, cut off, or has its connections reset; the client must get exactly the text of an undisturbed run, with
 * one bill, and each host its receipt on three hubs. Some streams run together, and all of them that the host serves are
 * broken at once. Then the price of a frozen host: the same requests, in turn, with one healthy
 * host alone and with a frozen one beside it.
 */
import { parseArgs } from 'node:util'
import { disturbances, offeredBy, receiptsOnAllHubs, startContinuationWorld, streamsAndDisturb, wantedStreams, type ContinuationWorld, type Disturbance, type StreamAsk } from '../support/continuation.ts'
import { chat } from '../support/chat-client.ts'
import { seededUnit } from '../support/seeded-random.ts'

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '100' }, together: { type: 'string', default: '4' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) }, requests: { type: 'string', default: '24' },
    how: { type: 'string', default: disturbances.join(',') }, path: { type: 'string', default: 'hub,direct' },
  },
})
const streams = Number(values.streams)
const together = Number(values.together)
const seed = Number(values.seed)
const requests = Number(values.requests)
const hows = values.how.split(',').filter((how): how is Disturbance => (disturbances as readonly string[]).includes(how))
const paths = values.path.split(',').filter((path) => path === 'hub' || path === 'direct')
if (![streams, seed, requests].every((count) => Number.isInteger(count) && count >= 0) || !(together >= 1) || hows.length === 0 || paths.length === 0) {
  process.stderr.write('usage: npm run test:continuation -- [--streams 100] [--together 4] [--seed S] [--how SIGKILL,SIGSTOP,cut,reset] [--path hub,direct] [--requests 24]\n')
  process.exit(2)
}

/** Longest silence that 99 of 100 clients may see, ms: a closed connection is noticed at once, silence after 5 s. */
const gapMsMax: Readonly<Record<Disturbance, number>> = { SIGKILL: 1_000, SIGSTOP: 6_000, cut: 6_000, reset: 1_000 }
/** With a frozen host beside it, requests may take so many times as long as with the healthy one alone. */
const FROZEN_RATIO_MAX = 1.3

const say = (text: string) => void process.stdout.write(`${text}\n`)
const unit = seededUnit(seed)
let failures = 0

function percentile(sorted: readonly number[], part: number): number {
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? 0)
}

async function disturbMany(world: ContinuationWorld, path: string, how: Disturbance): Promise<void> {
  const api = path === 'hub' ? world.nodes.hubs[0]!.api : (await world.consumer()).api
  const asks = wantedStreams(api)
  const undisturbed = await Promise.all(asks.map((ask) => chat({ apiKey: world.nodes.key, ...ask })))
  const gaps: number[] = []
  let [ran, exact, oneBill] = [0, 0, 0]
  // A stream that was over before the disturbance reached its host proves nothing, so another is run in its place.
  while (gaps.length < streams && ran < streams * 5 + 20) {
    const first = ran
    const chosen = Array.from({ length: together }, (_, index) => (first + index) % asks.length)
    ran += together
    const chars = Math.floor(undisturbed[chosen[0]!]!.text.length * 0.8 * unit())
    const done = await streamsAndDisturb(world, chosen.map((which) => asks[which]!), chars, how)
    await offeredBy(world.nodes, world.lenders)
    await Promise.all(done.map(async ({ seen, gapMs, disturbed }, index) => {
      const whole = undisturbed[chosen[index]!]!
      const name = `${path} ${how} stream ${first + index + 1} (${asks[chosen[index]!]!.model})`
      const isExact = seen.text === whole.text && seen.done && seen.finish === whole.finish
      if (!isExact) say(`  ${name}: ${seen.error ?? `differs after ${commonLength(seen.text, whole.text)} characters`}`)
      if ((!disturbed && isExact) || gaps.length >= streams) return
      gaps.push(gapMs)
      if (gapMs > gapMsMax[how]) say(`  ${name}: ${Math.round(gapMs)} ms of silence`)
      exact += isExact ? 1 : 0
      const isReceipted = await receiptsOnAllHubs(world, seen).then(() => true, (error: unknown) => { say(`  ${name}: ${String(error)}`) })
      oneBill += isReceipted === true && isBilledOnce(seen, whole) ? 1 : 0
    }))
  }
  const sorted = gaps.toSorted((a, b) => a - b)
  const isGood = gaps.length === streams && exact === streams && oneBill === streams && percentile(sorted, 0.99) <= gapMsMax[how]
  if (!isGood) failures += 1
  say([path.padEnd(7), how.padEnd(8), ...[ran, gaps.length, exact, oneBill, percentile(sorted, 0.5), percentile(sorted, 0.99), percentile(sorted, 1)].map((count) => String(count).padStart(9)), isGood ? '  good' : '  BAD'].join(''))
}

function isBilledOnce(seen: Awaited<ReturnType<typeof chat>>, whole: Awaited<ReturnType<typeof chat>>): boolean {
  const receipts = new Set([seen.receipt, ...(seen.parts ?? []).map(({ receipt }) => receipt)])
  return seen.tokens === whole.tokens && seen.promptTokens === whole.promptTokens && receipts.size === (seen.parts?.length ?? 0) + 1
}

function commonLength(one: string, other: string): number {
  let length = 0
  while (length < one.length && one[length] === other[length]) length += 1
  return length
}

/** Time of `requests` answers, one after the other. */
async function timeOf(world: ContinuationWorld, ask: StreamAsk): Promise<number> {
  const startMs = performance.now()
  for (let n = 0; n < requests; n += 1) {
    const { done, error } = await chat({ apiKey: world.nodes.key, ...ask })
    if (!done) say(`  a request failed: ${error ?? 'no end'}`)
  }
  return performance.now() - startMs
}

async function priceOfFrozen(world: ContinuationWorld): Promise<void> {
  const ask: StreamAsk = { api: world.nodes.hubs[0]!.api, model: 'bench-source', content: 'tokens=100 gapMs=5 batch=1' }
  const [first] = world.lenders
  first!.disturb('SIGKILL')
  const aloneMs = await timeOf(world, ask)
  await first!.heal()
  await offeredBy(world.nodes, world.lenders)
  first!.disturb('SIGSTOP')
  const frozenMs = await timeOf(world, ask)
  await first!.heal()
  const ratio = frozenMs / aloneMs
  if (ratio > FROZEN_RATIO_MAX) failures += 1
  say(`${requests} requests in turn: ${Math.round(aloneMs)} ms with a healthy host alone, ${Math.round(frozenMs)} ms with a frozen one beside it: ${ratio.toFixed(2)} times (at most ${FROZEN_RATIO_MAX})`)
}

say(`seed ${seed}`)
const world = await startContinuationWorld()
try {
  if (streams > 0) say(`${'path'.padEnd(7)}${'how'.padEnd(8)}${['streams', 'broken', 'exact', 'one bill', 'gap p50', 'p99', 'max'].map((name) => name.padStart(9)).join('')}   (gaps in ms)`)
  if (streams > 0) for (const path of paths) for (const how of hows) await disturbMany(world, path, how)
  if (requests > 0) await priceOfFrozen(world)
} finally {
  await world.stop()
}
process.exit(failures === 0 ? 0 : 1)
