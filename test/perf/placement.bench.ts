/**
 * Question: what does a hub pay for 10,000 announced hosts? One placement (candidates, filters, scores, two choices) beside a
 * read of a table of the same size; and one announcement, from the signed gossip message to the index: signature, decoding,
 * check, table, and the count of its standby time. Each is repeated and its quietest run counts.
 *
 * BENCH_HOSTS changes the number of hosts.
 */
import { createClock } from '../../bootstrap/system.ts'
import { createCapacityTable } from '../../node/capacity/table.ts'
import { createPassedBy } from '../../node/contributor/passed-by.ts'
import { createPlacementWatch } from '../../node/contributor/placement-watch.ts'
import { createHostRecord } from '../../node/jobs/host-record.ts'
import { planRoute } from '../../node/jobs/route-plan.ts'
import { createHostPrivacy } from '../../node/settlement/host-privacy.ts'
import { createPresenceTracker } from '../../node/settlement/presence.ts'
import { toHex } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/codec.ts'
import { createSigner, verifySignature } from '../../protocol/crypto.ts'
import { announcementSchema, writeAnnouncement } from '../../protocol/messages/capacity.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import { signedBytes } from '../../protocol/signed.ts'
import { noClouds } from '../support/cloud-market.ts'
import { aCapacity, aModel } from '../support/completions.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { ratioRow, type BenchRow } from './support/report.ts'

const HOSTS = Number(process.env['BENCH_HOSTS'] ?? 10_000)
const PLACEMENTS = 2_000
const ROUNDS = 9
const ANNOUNCEMENTS = 4_000
/** Announcements that are measured together; of the bursts the quietest counts. */
const AT_ONCE = 100
const MODELS = ['large', 'small', 'coder', 'vision']

export async function run(say: (text: string) => void): Promise<readonly BenchRow[]> {
  const clock = createClock()
  const table = createCapacityTable({ clock }, { demoAllowed: true })
  const tracker = createPresenceTracker()

  say(`making ${HOSTS} hosts`)
  const hosts = Array.from({ length: HOSTS }, (_, index) => {
    const seed = new Uint8Array(32)
    new DataView(seed.buffer).setUint32(0, index)
    const signer = createSigner(seed)
    return { signer, publicKey: signer.publicKey, peer: peerIdOf(signer.publicKey) }
  })
  const capacityOf = (index: number, busy: number) => aCapacity({
    peer: hosts[index]!.publicKey, name: `host-${index}`, slots: { total: 4, busy, queued: 0 }, seq: clock.now() + busy,
    gpus: [{ name: 'NVIDIA GeForce RTX 4090', vramBytes: 25_757_220_864, vramFreeBytes: 12_000_000_000 }], clock: { boot: new Uint8Array(16), ms: Math.floor(clock.monotonicMs()) },
    models: MODELS.map((id) => aModel({ id, tokensPerSecond: 20 + index % 60, parameters: 70_000_000_000, capabilities: ['chat', 'json', 'continue'] })),
  }, clock.now())
  hosts.forEach((_, index) => table.put(capacityOf(index, index % 5)))

  const keysOfAccount = new Map(hosts.map(({ publicKey }, index) => [toHex(accountOf(index)), new Set([toHex(publicKey)])]))
  const record = createHostRecord({ clock })
  const plain = new Map(hosts.map(({ peer }, index) => [peer, index]))
  const peers = [...plain.keys()]
  const watch = createPlacementWatch({ table, passedBy: createPassedBy({ clock }), clock, coolingDown: record.coolingDown, distrusts: () => false, isReachable: () => true })
  const components = {
    table, record, isConnected: () => true, isSelf: () => false, clouds: noClouds, modelHosts: { find: () => Promise.resolve([]) },
    privacyOf: createHostPrivacy({
      isProven: () => true, ledger: {
        apiKey: () => undefined,
        ownedBy: (owner) => {
          const keys = keysOfAccount.get(toHex(owner))
          return (key) => keys?.has(key) === true
        },
      },
    }), ownPeers: () => [peers[7]!],
  }
  const account = accountOf(7)

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
  const announced = (beat: number) => Array.from({ length: ANNOUNCEMENTS }, (_, n) => {
    const { signer } = hosts[n % HOSTS]!
    const bytes = writeAnnouncement(signer, { ...capacityOf(n % HOSTS, (n + beat) % 5), seq: clock.now() + beat * 1_000_000 + n })
    return { bytes, signed: decode(announcementSchema, bytes) }
  })
  // A hub has heard of its hosts before: each announces itself every 10 s.
  for (const { bytes } of announced(1)) table.judge(bytes)
  const messages = announced(2)
  const [all, verified] = [quietest(), quietest()]
  for (let at = 0; at < ANNOUNCEMENTS; at += AT_ONCE) {
    const burst = messages.slice(at, at + AT_ONCE)
    const startMs = performance.now()
    for (const { bytes } of burst) {
      const { row } = table.judge(bytes)
      if (row === undefined) throw new Error('an announcement was not taken')
      tracker.announced(row.capacity, clock.now())
    }
    const takenMs = performance.now()
    for (const { signed } of burst) if (!verifySignature(signed.key, signedBytes('capacity', signed.body), signed.signature)) throw new Error('an announcement does not verify')
    all.add(0, (takenMs - startMs) * 1_000 / burst.length)
    verified.add(0, (performance.now() - takenMs) * 1_000 / burst.length)
  }

  return [
    difference('placement among them, median, more than a table read', placements.values, reads.values, 0.5),
    difference('placement among them, p99, more than a table read', placements.values, reads.values, 0.99, '<= 50'),
    ratioRow('announcement: signature, check, table and index / its signature alone', 'us', all.values[0]!, verified.values[0]!, '<= 150 us'),
  ]
}

const accountOf = (index: number) => Uint8Array.of(...new Uint8Array(14), index >> 8, index & 255)

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
