/**
 * Question: what does a hub pay for 10,000 announced hosts? One placement (candidates, filters, scores, two choices) beside a
 * read of a table of the same size; and one announcement, from the signed gossip message to the index: signature, decoding,
 * check, table, and the count of its standby time. Each is repeated and its quietest run counts.
 *
 * BENCH_HOSTS changes the number of hosts.
 */
import { generateKeyPairFromSeed, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { createClock } from '../../bootstrap/system.ts'
import { createCapacityTable } from '../../node/capacity/table.ts'
import { createPassedBy } from '../../node/contributor/passed-by.ts'
import { createPlacementWatch } from '../../node/contributor/placement-watch.ts'
import { createHostRecord } from '../../node/jobs/host-record.ts'
import { planRoute } from '../../node/jobs/route-plan.ts'
import { createHostPrivacy } from '../../node/settlement/host-privacy.ts'
import { createPresenceTracker } from '../../node/settlement/presence.ts'
import { toHex } from '../../protocol/bytes.ts'
import { encode } from '../../protocol/codec.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import { noClouds } from '../support/cloud-market.ts'
import { aCapacity, aModel } from '../support/completions.ts'
import { seededRandom } from '../support/seeded-random.ts'
import type { BenchRow } from './support/report.ts'

const HOSTS = Number(process.env['BENCH_HOSTS'] ?? 10_000)
const PLACEMENTS = 2_000
const ROUNDS = 9
const ANNOUNCEMENTS = 4_000
/** Announcements that are measured together; of the bursts the quietest counts. */
const AT_ONCE = 100
const MODELS = ['large', 'small', 'coder', 'vision']

interface Raw { readonly raw: unknown }
interface GossipModule {
  buildRawMessage(config: object, topic: string, data: Uint8Array, transformed: Uint8Array): Promise<Raw>
  validateToRawMessage(policy: string, message: unknown): Promise<{ readonly valid: boolean; readonly message: { readonly from: { toString(): string }; readonly data: Uint8Array } }>
}

export async function run(say: (text: string) => void): Promise<readonly BenchRow[]> {
  const clock = createClock()
  const table = createCapacityTable({ clock }, { demoAllowed: true })
  const tracker = createPresenceTracker()
  const gossip = await import(new URL('./utils/buildRawMessage.js', import.meta.resolve('@libp2p/gossipsub')).href) as GossipModule

  say(`making ${HOSTS} hosts`)
  const hosts = await Promise.all(Array.from({ length: HOSTS }, async (_, index) => {
    const seed = new Uint8Array(32)
    new DataView(seed.buffer).setUint32(0, index)
    const privateKey = await generateKeyPairFromSeed('Ed25519', seed)
    return { privateKey, publicKey: privateKey.publicKey.raw, author: peerIdFromPrivateKey(privateKey) }
  }))
  const capacityOf = (index: number, busy: number) => aCapacity({
    peer: hosts[index]!.publicKey, name: `host-${index}`, slots: { total: 4, busy, queued: 0 }, seq: clock.now() + busy,
    gpus: [{ name: 'NVIDIA GeForce RTX 4090', vramBytes: 25_757_220_864, vramFreeBytes: 12_000_000_000 }], clock: { boot: new Uint8Array(16), ms: Math.floor(clock.monotonicMs()) },
    models: MODELS.map((id) => aModel({ id, tokensPerSecond: 20 + index % 60, parameters: 70_000_000_000, capabilities: ['chat', 'json', 'continue'] })),
  }, clock.now())
  hosts.forEach((_, index) => table.put(capacityOf(index, index % 5)))

  const keys = new Map(hosts.map(({ publicKey }, index) => [toHex(publicKey), { account: Uint8Array.of(index >> 8, index & 255) }]))
  const record = createHostRecord({ clock })
  const plain = new Map(hosts.map(({ author }, index) => [author.toString(), index]))
  const peers = [...plain.keys()]
  const watch = createPlacementWatch({ table, passedBy: createPassedBy({ clock }), clock, coolingDown: record.coolingDown, distrusts: () => false, isReachable: () => true })
  const components = {
    table, record, isConnected: () => true, isSelf: () => false, clouds: noClouds, modelHosts: { find: () => Promise.resolve([]) },
    privacyOf: createHostPrivacy({ ledger: { apiKey: (key: Uint8Array) => keys.get(toHex(key)) } as never, isProven: () => true }), ownPeers: () => [peers[7]!],
  }
  const account = new Uint8Array(16)

  say(`${PLACEMENTS} placements, ${ROUNDS} times the same`)
  const reads = quietest()
  const placements = quietest()
  let seen = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const { unit } = seededRandom(2)
    for (let n = 0; n < PLACEMENTS; n += 1) {
      const model = MODELS[n % MODELS.length]!
      const name = peers[Math.floor(unit() * HOSTS)]!
      const beforeMs = performance.now()
      seen += plain.get(name)!
      const readMs = performance.now()
      const { steps } = await planRoute(components, { account, model, needs: ['chat'] }, unit)
      watch.placed(model, ['chat'], steps.map(({ peer }) => peer))
      const placedMs = performance.now()
      seen += steps.length
      reads.add(n, (readMs - beforeMs) * 1_000)
      placements.add(n, (placedMs - readMs) * 1_000)
      // The loop turns as in a hub; what the watch does then is its own time.
      if (n % 50 === 0) await new Promise((resolve) => { setImmediate(resolve) })
    }
  }
  if (seen === 0) throw new Error('nothing was placed')

  say(`${ANNOUNCEMENTS} announcements`)
  const messages: unknown[] = []
  for (let n = 0; n < ANNOUNCEMENTS; n += 1) {
    const { privateKey, author } = hosts[n % HOSTS]!
    const data = encode({ ...capacityOf(n % HOSTS, (n + 1) % 5), seq: clock.now() + 1_000_000 + n })
    messages.push((await gossip.buildRawMessage({ type: 0, author, key: publicKeyToProtobuf(privateKey.publicKey), privateKey }, 't', data, data)).raw)
  }
  const [all, verified] = [quietest(), quietest()]
  for (let at = 0; at < ANNOUNCEMENTS; at += AT_ONCE) {
    const burst = messages.slice(at, at + AT_ONCE)
    const startMs = performance.now()
    for (const message of burst) {
      const checked = await gossip.validateToRawMessage('StrictSign', message)
      if (!checked.valid) throw new Error(`an announcement does not verify: ${String((checked as { error?: string }).error)}`)
    }
    const verifiedMs = performance.now()
    for (const message of burst) {
      const { from, data } = message as { readonly from: Uint8Array; readonly data: Uint8Array }
      const author = from.subarray(-32)
      if (table.judge(author, data) !== 'accept') throw new Error('an announcement was not taken')
      tracker.announced(table.get(peerIdOf(author))!.capacity, clock.now())
    }
    verified.add(0, (verifiedMs - startMs) * 1_000 / burst.length)
    all.add(0, (performance.now() - startMs) * 1_000 / burst.length)
  }

  return [
    difference('placement among them, median, more than a table read', placements.values, reads.values, 0.5),
    difference('placement among them, p99, more than a table read', placements.values, reads.values, 0.99, '<= 50'),
    { measure: 'announcement: signature, check, table and index', unit: 'us', value: all.values[0]!, against: verified.values[0]!, goal: '<= 150' },
  ]
}

/** Of each that is measured several times the least: what else runs on the machine can only add to it. */
function quietest(): { readonly values: number[]; add(at: number, value: number): void } {
  const values: number[] = []
  return { values, add: (at, value) => { values[at] = Math.min(values[at] ?? Infinity, value) } }
}

function difference(measure: string, values: readonly number[], against: readonly number[], at: number, goal?: string): BenchRow {
  return { measure, unit: 'us', value: quantile(values, at) - quantile(against, at), ...(goal === undefined ? {} : { goal }) }
}

function quantile(values: readonly number[], at: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * at))]!
}
