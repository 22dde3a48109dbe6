/**
 * A random life of a fold world, read off a tape of numbers: accounts, money, spends, moves of rights, facts and pay,
 * changes of tables, messages that come late, seals and returns. Everything is tried, also what must be refused.
 */
import { changeIdOf, encodeAdminChange, type AdminChange } from '../../ledger/admin-change.ts'
import { payOf } from '../../ledger/earning/pay.ts'
import type { EncodedEntry, Entry, Unnamed } from '../../ledger/entries/entry.ts'
import { createState, nameOf, type LogName } from '../../ledger/fold/state.ts'
import { dayOf, MS_PER_HOUR } from '../../ledger/rules.ts'
import { plan } from '../../ledger/tables/plan.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { createFoldWorld, foldHubKeys, foldNetwork, foldReceipt, unsigned, type FoldWorld } from './fold-world.ts'

export interface Life {
  readonly world: FoldWorld
  /** Entries that were logged, and refused by their author, by kind. */
  readonly logged: Map<string, number>
  readonly refused: Map<string, number>
}

const publicKeys = [1, 2, 3, 4].map((byte) => new Uint8Array(32).fill(byte))
const accounts = publicKeys.map(accountIdOf)
const contributors = [101, 102].map((byte) => new Uint8Array(32).fill(byte))
const devices = ['gpu0', 'gpu1']
const idOf = (number: number, kind: number) => {
  const id = new Uint8Array(16).fill(kind)
  new DataView(id.buffer).setUint32(12, number)
  return id
}

export function live(tape: readonly number[], { seals = true } = {}): Life {
  let place = 0
  const pick = (count: number) => (tape[place++] ?? 0) % count
  const world = createFoldWorld()
  const logged = new Map<string, number>()
  const refused = new Map<string, number>()
  const down: { log?: LogName; hub?: number } = {}

  const say = (hub: number, fields: Unnamed<Entry> | EncodedEntry): void => {
    if (world.hubs[hub]!.gone) return
    const kind = 'k' in fields ? fields.k : fields.entry.k
    const counts = world.say(hub, fields) === undefined ? logged : refused
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
    if (pick(3) === 0) world.commit(hub)
  }
  const one = <T>(list: readonly T[]): T | undefined => list.length === 0 ? undefined : list[pick(list.length)]

  const purchases: { readonly account: Uint8Array; readonly amount: bigint; readonly payment: string }[] = []

  const acts: ((hub: number) => void)[] = [
    (hub) => { say(hub, { k: 'AccountOpen', account: accounts[pick(4)]!, publicKey: publicKeys[pick(4)]!, name: 'ab'[pick(2)]!, tier: ['free', 'pro'][pick(2)]! }) },
    (hub) => { say(hub, { k: 'KeyAdd', publicKey: contributors[pick(2)]!, account: accounts[pick(4)]!, name: 'xy'[pick(2)]! }) },
    (hub) => { if (pick(4) === 0) say(hub, { k: 'KeyRevoke', publicKey: contributors[pick(2)]! }) },
    (hub) => {
      const account = accounts[pick(4)]!
      say(hub, { k: 'TierSet', account, rev: Math.max(1, (world.hubs[hub]!.state.accounts.get(toHex(account))?.tiers.length ?? 0) + pick(3)), tier: ['free', 'pro', 'unlimited'][pick(3)]! })
    },
    (hub) => { say(hub, { k: 'Grant', account: accounts[pick(4)]!, amount: BigInt(pick(500_000_000) + 1), source: `s${pick(40)}` }) },
    (hub) => {
      const paid = { account: accounts[pick(4)]!, amount: BigInt(pick(500_000_000) + 1), payment: `p${pick(40)}` }
      purchases.push(paid)
      say(hub, { k: 'Purchase', ...paid, product: 'pack-5' })
    },
    (hub) => {
      const paid = one(purchases)
      if (paid !== undefined && pick(2) === 0) say(hub, { k: 'Chargeback', ...paid, amount: paid.amount * BigInt(1 + pick(12)) / 10n + 1n })
    },
    hold, hold, hold, hold,
    (hub) => { const id = openHold(hub); if (id !== undefined) say(hub, { k: 'Extend', hold: id, step: 1 + pick(2), credits: BigInt(pick(10_000_000)), quotaTokens: pick(3) * 50, expiresAt: world.nowMs }) },
    (hub) => { const id = openHold(hub); if (id !== undefined) say(hub, { k: 'Progress', hold: id, step: 1 + pick(3), promptTokens: pick(500), completionTokens: pick(500) }) },
    settle, settle, settle,
    (hub) => { const id = anyHold(hub); if (id !== undefined) say(hub, { k: 'Expire', hold: id }) },
    (hub) => {
      const state = world.hubs[hub]!.state
      const held = one([...state.holds.values()])
      if (held === undefined) return
      const amount = pick(2) === 0 ? held.outcome?.charge ?? 0n : BigInt(pick(1_000_000))
      say(hub, { k: 'Refund', hold: fromHex(held.eid)!, account: fromHex(held.account)!, amount, quotaTokens: pick(3) * 10, reason: ['superseded', 'admin'][pick(2)]! })
    },
    give, give, accept, accept, accept,
    (hub) => { const give = one([...world.hubs[hub]!.state.gives.values()]); if (give !== undefined) say(hub, { k: 'GiveReturn', give: fromHex(give.eid)! }) },
    receipt, receipt,
    (hub) => {
      const wallFromMs = world.nowMs - pick(2 * MS_PER_HOUR)
      const deviceFromMs = pick(100) * 100_000
      const ms = pick(MS_PER_HOUR)
      const rates = [12_000_000n, 24_000_000n]
      say(hub, {
        k: 'Presence', hub, contributor: contributors[pick(2)]!, boot: idOf(pick(2), 9), deviceFromMs, deviceToMs: deviceFromMs + ms, wallFromMs, wallToMs: wallFromMs + ms,
        devices: devices.slice(0, 1 + pick(2)).map((device) => ({ device, rate: rates[pick(2)]! })),
      })
    },
    vest, vest,
    (hub) => { const account = accounts[pick(4)]!; say(hub, { k: 'BackRelease', account, step: 1 + pick(5), amount: BigInt(pick(3_000_000) + 1) }) },
    (hub) => { approve(hub) },
    (hub) => { world.commit(hub) }, (hub) => { world.commit(hub) },
    deliver, deliver, deliver, deliver, deliver,
    () => { world.nowMs += [1_000, 60_000, MS_PER_HOUR, 9 * MS_PER_HOUR][pick(4)]! },
    (hub) => { if (seals && pick(3) === 0) sealOrReturn(hub) },
  ]

  function openHold(hub: number): Uint8Array | undefined {
    const { state } = world.hubs[hub]!
    const key = one([...state.openHolds])
    return key === undefined ? undefined : fromHex(state.holds.get(key)!.eid)
  }

  function anyHold(hub: number): Uint8Array | undefined {
    const held = one([...world.hubs[hub]!.state.holds.values()])
    return held === undefined ? undefined : fromHex(held.eid)
  }

  function hold(hub: number): void {
    const { state, tsMs, pending, pendingMs } = world.hubs[hub]!
    const other = one([...state.holds.values()].filter(({ log }) => !log.startsWith(`${hub}/`)))
    const day = dayOf(pending.length > 0 ? pendingMs : Math.max(tsMs + 1, world.nowMs))
    const supersedes = pick(4) === 0 && other !== undefined
    say(hub, {
      k: 'Hold', hub, request: idOf(pick(500), 5), requestHash: supersedes ? fromHex(other.requestHash)! : new Uint8Array(32).fill(pick(3)),
      account: supersedes ? fromHex(other.account)! : accounts[pick(4)]!, priceRow: ['groq', 'claude-opus', 'local'][pick(3)]!, priceRev: pick(6) === 0 ? 1 : 0,
      credits: BigInt(pick(30_000_000)), expiresAt: world.nowMs + 60_000,
      ...(pick(3) === 0 ? {} : { quota: { day: day + (pick(12) === 0 ? 1 : 0), tokens: 1 + pick(3_000), tier: ['free', 'pro', 'unlimited'][pick(3)]!, tierRev: pick(6) === 0 ? 1 : 0 } }),
      ...(supersedes ? { supersedes: { hub: Number(other.log[0]), hold: fromHex(other.eid)! } } : {}),
    })
  }

  function settle(hub: number): void {
    const { state } = world.hubs[hub]!
    const held = one([...state.holds.values()])
    if (held === undefined) return
    const charge = pick(5) === 0 ? BigInt(pick(40_000_000)) : held.credits < 2_000_000n ? held.credits : 2_000_000n
    say(hub, {
      k: 'Settle', hold: fromHex(held.eid)!, promptTokens: pick(1_000) + held.quotaTokens, completionTokens: 2_000 + pick(1_000),
      charge: held.priceRow === 'local' ? 0n : charge, quotaTokens: pick(6) === 0 ? pick(4_000) : held.quotaTokens,
    })
  }

  function give(hub: number): void {
    const { state } = world.hubs[hub]!
    const target = one([...state.logs.values()].filter(({ log, status }) => log.hub !== hub && (status.is === 'live' || pick(3) === 0)))
    if (target === undefined) return
    const unit = pick(2) === 0 ? 0 : dayOf(world.nowMs)
    say(hub, {
      k: 'Give', request: idOf(pick(200), 6), account: accounts[pick(4)]!, unit, target: target.log, amount: BigInt(1 + pick(unit === 0 ? 20_000_000 : 2_000)),
      ...(unit === 0 ? {} : { quota: { tier: ['free', 'pro'][pick(2)]!, tierRev: 0 } }),
    })
  }

  function accept(hub: number): void {
    const { state } = world.hubs[hub]!
    const given = one([...state.gives.values()].filter(({ to }) => to === nameOf(world.hubs[hub]!.log) || pick(10) === 0))
    if (given === undefined) return
    const [fromHub, epoch] = given.from.split('/').map(Number)
    say(hub, { k: 'Accept', give: fromHex(given.eid)!, from: { hub: fromHub!, epoch: epoch! }, account: fromHex(given.account)!, unit: given.unit, amount: given.amount })
  }

  function receipt(hub: number): void {
    const jobId = idOf(pick(300), 7)
    const startMs = pick(200) * 50_000
    const ms = 1 + pick(600_000)
    const device = devices[pick(2)]!
    const half = { device, boot: idOf(pick(2), 9), startMs, endMs: startMs + ms }
    const seen = { observedMs: ms + pick(3_000), endedAt: world.nowMs - pick(1_000_000) }
    const rate = [0n, 40_000_000n, 80_000_000n][pick(3)]!
    const both = [device, ...devices.filter((other) => other !== device)]
    const isOnBoth = pick(3) === 0
    const earns = isOnBoth && rate > 0n ? both.slice(pick(2)).map((each) => ({ device: each, rate: pick(2) === 0 ? rate : 20_000_000n })) : rate
    const signed = isOnBoth ? { ...half, devices: both } : half
    say(hub, foldReceipt(jobId, { ...seen, contributor: contributors[pick(2)]!, ...(pick(5) === 0 ? {} : { half: signed }) }, earns))
  }

  function vest(hub: number): void {
    const { state } = world.hubs[hub]!
    const device = one([...state.devices.values()])
    if (device === undefined) return
    const account = accounts[pick(4)]!
    const before = device.vestedBy.get(toHex(account)) ?? 0n
    const total = payOf(device) - (device.vested - before) - BigInt(pick(2) * pick(1_000))
    const delta = total - before + BigInt(pick(8) === 0 ? 1 : 0)
    if (total > 0n && delta > 0n) say(hub, { k: 'Vest', contributor: fromHex(device.contributor)!, device: device.device, account, round: 1, total, delta, back: pick(2) === 0 ? 0n : delta / 2n })
  }

  function approve(hub: number): void {
    const prices = { ...plan.prices, rows: plan.prices.rows.map((row) => ({ ...row, promptMicroCredits: row.promptMicroCredits * 2n })) }
    const changes: AdminChange['change'][] = [
      { type: 'table', table: 'prices', rev: 1, content: prices },
      { type: 'table', table: 'tiers', rev: 1, content: { rows: plan.tiers.rows.map((row) => ({ ...row, tokensPerDay: row.tokensPerDay === null ? null : row.tokensPerDay * 2 })) } },
      { type: 'table', table: 'tiers', rev: 1, content: { rows: plan.tiers.rows.map((row) => ({ ...row, earnFactor: 3 })) } },
      { type: 'grant', account: accounts[0]!, amount: 2_000_000_000_000n, source: 'big' },
    ]
    const body = encodeAdminChange({ v: 1, network: foldNetwork, change: changes[pick(4)]!, createdAt: 1 })
    const change = changeIdOf(body)
    say(hub, { k: 'Approval', hub, change, document: { body, key: foldHubKeys[hub]!, signature: new Uint8Array(64) } })
    if (pick(2) === 0) say(hub, { k: 'Grant', account: accounts[0]!, amount: 2_000_000_000_000n, source: 'big', approved: change })
  }

  function deliver(hub: number): void {
    const log = one([...world.logs.keys()].filter((name) => !name.startsWith(`${hub}/`)))
    if (log !== undefined && !world.hubs[hub]!.gone) world.send(log, hub, 1 + pick(5))
  }

  /** The whole procedure in small steps, each when this act comes up again: a hub dies, is sealed, comes back. */
  function sealOrReturn(hub: number): void {
    if (down.log === undefined) {
      const dead = world.hubs[hub]!
      down.log = nameOf(dead.log)
      down.hub = hub
      dead.gone = true
      dead.pending.length = 0
      const reach = Math.max(...world.hubs.filter((other) => other.hub !== hub).map(({ state }) => state.logs.get(down.log!)?.frame ?? 0))
      // What no other hub has is lost; a log without its first frame cannot be sealed.
      world.logs.set(down.log, world.logs.get(down.log)!.slice(0, Math.max(1, reach)))
      return
    }
    const name = down.log
    const dead = world.hubs[down.hub!]!
    const successor = world.hubs[(dead.hub + 1) % 3]!
    const log = { hub: dead.hub, epoch: Number(name.split('/')[1]) }
    const status = successor.state.logs.get(name)?.status
    const frames = world.logs.get(name)!
    if (status?.is !== 'sealed') {
      world.send(name, successor.hub)
      say(successor.hub, { k: 'Seal', log, frame: frames.length, hash: new Uint8Array(32), signatures: [unsigned({}), unsigned({})] })
      return
    }
    const frozen = [...successor.state.accounts].find(([, account]) => account.frozen.has(name))
    if (frozen !== undefined) {
      const [id, account] = frozen
      if (pick(2) === 0) say(successor.hub, { k: 'IslandSettle', log, account: fromHex(id)!, amount: 1n + BigInt(pick(Number(account.frozen.get(name)))) })
      else say(successor.hub, { k: 'IslandRelease', log })
      return
    }
    for (const key of successor.state.openHolds) {
      const held = successor.state.holds.get(key)!
      if (held.log !== name) continue
      say(successor.hub, { k: 'Expire', hold: fromHex(held.eid)! })
      return
    }
    if (dead.gone) {
      world.commit(successor.hub)
      dead.state = createState(foldNetwork, foldHubKeys)
      for (let round = 0; round < 4; round += 1) for (const other of world.logs.keys()) world.send(other, dead.hub)
      if (dead.state.logs.get(name)?.status.is !== 'sealed') {
        for (const other of world.hubs) world.commit(other.hub)
        return
      }
      world.open(dead.hub, { epoch: log.epoch, no: frames.length })
      return
    }
    world.send(nameOf(dead.log), successor.hub)
    say(successor.hub, { k: 'Handback', log, target: dead.log })
    if (successor.state.outstandingSeal === undefined) delete down.log
  }

  while (place < tape.length) acts[pick(acts.length)]!(pick(3))
  for (const { hub, gone } of world.hubs) if (!gone) world.commit(hub)
  return { world, logged, refused }
}
