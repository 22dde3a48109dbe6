/**
 * Three hubs' cores in one process: real decisions, real folds, real frames; a network of queues in place of streams, and
 * a map of ids in place of the store. Nothing happens unless the test says so, so a run is a function of its commands.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { Signer } from '../../protocol/ports.ts'
import { signDocument } from '../../protocol/signed.ts'
import { encodeEntry, type EncodedEntry } from '../../ledger/entries/entry.ts'
import { applyEntry } from '../../ledger/fold/apply.ts'
import { createGate, type Gate } from '../../ledger/fold/causal.ts'
import { closeFrame, foldFrame } from '../../ledger/fold/frame-fold.ts'
import { homeOf } from '../../ledger/fold/homes.ts'
import { createState } from '../../ledger/fold/state.ts'
import { buildFrame, emptyTail, type CheckedFrame, type LogTail, type Seen } from '../../ledger/frame.ts'
import type { Decision, HubEffect, HubEvent, HubMessage, Intent } from '../../ledger/hub/events.ts'
import { nameOfLog, type HubOptions, type HubState } from '../../ledger/hub/hub-state.ts'
import { createHub, step } from '../../ledger/hub/step.ts'
import { testKey } from './federation.ts'

const NETWORK = 'core-test'
export const START_MS = 1_800_000_000_000
const TICK_MS = 200
const ROUNDS_MAX = 400

export interface Submission {
  readonly intent: Intent
  /** Somebody looks at what becomes of it; a duty's own intents are not. */
  readonly by: 'test' | 'core'
  result?: { readonly entries: readonly EncodedEntry[]; readonly frame: number; readonly known: boolean }
  error?: TriforceError
}

type Transit = { readonly frame: CheckedFrame } | { readonly message: HubMessage } | { readonly ack: number }

export interface CoreHub {
  readonly index: number
  hub: HubState
  readonly gate: Gate<CheckedFrame>
  readonly signer: Signer
  tail: LogTail
  readonly frames: CheckedFrame[]
  readonly logged: Map<string, EncodedEntry>
  queue: Submission[]
  parked: Submission[]
  warnings: string[]
}

export interface CoreWorld {
  nowMs: number
  readonly hubs: readonly CoreHub[]
  /** Runs one hub's core; effects are carried out. */
  run(index: number, event: HubEvent): void
  submit(index: number, intent: Intent): Submission
  /** Builds a frame of what waits at this hub. */
  commit(index: number): void
  /** The next thing on the way from one hub to another. Gives false where nothing is. */
  deliver(from: number, to: number): boolean
  connect(a: number, b: number): void
  cut(a: number, b: number): void
  connected(a: number, b: number): boolean
  tick(ms?: number): void
  /** A hub's process dies and comes back with everything that was logged. */
  restart(index: number): void
  /** Commits, delivers and ticks until nothing moves any more. */
  settle(rounds?: number): void
  /** Submits, settles, and gives what was logged or throws what it was refused with. */
  done(index: number, intent: Intent): NonNullable<Submission['result']>
  /** An open account whose home is this hub; in all states. */
  account(home: number, tier?: string, name?: string): { readonly id: Uint8Array; readonly hex: string; readonly publicKey: Uint8Array }
}

export function createCoreWorld(options: Partial<Pick<HubOptions, 'holdBack' | 'vestEveryMs' | 'rightsWaitMsMax' | 'spread' | 'machines'>> = {}): CoreWorld {
  const keys = [0, 1, 2].map((hub) => testKey(new Uint8Array(32).fill(hub + 1)).signer)
  const hubKeys = keys.map(({ publicKey }) => publicKey)
  const links = new Set<string>()
  const transit = new Map<string, Transit[]>()
  let accounts = 0

  const hubs = keys.map((_, index): CoreHub => {
    const state = createState(NETWORK, hubKeys)
    return {
      index, hub: createHub({ network: NETWORK, me: index, state, spread: false, ...options }), gate: createGate(state),
      signer: testKey(new Uint8Array(32).fill(index + 11)).signer, tail: emptyTail({ hub: index, epoch: 1 }), frames: [], logged: new Map(), queue: [], parked: [], warnings: [],
    }
  })
  const at = (index: number) => hubs[index]!
  const linkOf = (from: number, to: number) => `${from}>${to}`
  const send = (from: number, to: number, what: Transit) => {
    if (!links.has(linkOf(from, to))) return
    const queue = transit.get(linkOf(from, to)) ?? []
    queue.push(what)
    transit.set(linkOf(from, to), queue)
  }

  function perform(index: number, effect: HubEffect): void {
    const owner = at(index)
    if (effect.type === 'send') {
      send(index, effect.hub, { message: effect.message })
    } else if (effect.type === 'append') {
      owner.queue.push({ intent: effect.intent, by: 'core' })
    } else if (effect.type === 'retry') {
      owner.queue = [...owner.parked, ...owner.queue]
      owner.parked = []
    } else if (effect.type === 'warn') {
      owner.warnings.push(effect.text)
    } else {
      throw new Error(`the core wants ${effect.type}, which this world does not have`)
    }
  }

  function seenBy(index: number): Seen {
    return hubs.map((_, hub) => ({ epoch: 1, no: at(index).hub.state.logs.get(`${hub}/1`)?.frame ?? 0 }))
  }

  function folded(index: number, frame: CheckedFrame): void {
    world.run(index, {
      type: 'folded', log: frame.log, frame: frame.header.no, tsMs: frame.header.tsMs,
      entries: frame.entries.map((entry, place) => ({ entry, bytes: frame.entryBytes[place]! })),
    })
  }

  function decideOne(owner: CoreHub, item: Submission, moment: { readonly nowMs: number; readonly tsMs: number; readonly log: LogId }): Decision | 'known' {
    const logged = owner.logged.get(toHex(item.intent.eid))
    if (logged === undefined) return item.intent.decide(moment)
    if (item.intent.same?.(logged) === false) return { type: 'refuse', error: new TriforceError('ENTRY_CONFLICT', {}) }
    item.result = { entries: [logged], frame: 0, known: true }
    return 'known'
  }

  const world: CoreWorld = {
    nowMs: START_MS,
    hubs,

    run: (index, event) => {
      for (const effect of step(at(index).hub, event, world.nowMs)) perform(index, effect)
    },

    submit: (index, intent) => {
      const item: Submission = { intent, by: 'test' }
      at(index).queue.push(item)
      return item
    },

    commit: (index) => {
      const owner = at(index)
      const batch = owner.queue
      owner.queue = []
      const { tail } = owner
      const moment = { nowMs: world.nowMs, tsMs: Math.max(tail.tsMs + 1, world.nowMs), log: tail.log }
      const entries: EncodedEntry[] = []
      const shorts: Extract<Decision, { type: 'short' }>[] = []
      for (const item of batch) {
        const decision = decideOne(owner, item, moment)
        if (decision === 'known') continue
        if (decision.type === 'refuse') item.error = decision.error
        if (decision.type === 'short') {
          owner.parked.push(item)
          shorts.push(decision)
        }
        if (decision.type !== 'entries') continue
        for (const encoded of decision.entries) {
          // What an honest core decides is never refused by the fold: this throws where it is.
          applyEntry(owner.hub.state, encoded, { tsMs: moment.tsMs, ...tail.log, frame: tail.no + 1, seq: tail.tree.size + entries.length })
          entries.push(encoded)
          owner.logged.set(toHex(encoded.entry.eid), encoded)
        }
        item.result = { entries: decision.entries, frame: tail.no + 1, known: decision.entries.length === 0 }
      }
      if (entries.length > 0) {
        const frame = buildFrame(tail, entries, { network: NETWORK, signer: owner.signer, nowMs: world.nowMs, seen: seenBy(index) })
        owner.tail = frame.tail
        owner.frames.push(frame)
        closeFrame(owner.hub.state, frame.header)
        folded(index, frame)
        for (const other of hubs) if (other !== owner) send(index, other.index, { frame })
        for (const next of owner.gate.ready()) take(owner, next)
      }
      for (const short of shorts) world.run(index, short)
    },

    deliver: (from, to) => {
      const next = transit.get(linkOf(from, to))?.shift()
      if (next === undefined) return false
      const owner = at(to)
      if ('frame' in next) {
        for (const ready of owner.gate.offer(next.frame)) take(owner, ready)
        send(to, from, { ack: next.frame.header.no })
      } else if ('ack' in next) {
        world.run(to, { type: 'replicated', log: owner.tail.log, frame: next.ack })
      } else {
        world.run(to, { type: 'message', hub: from, message: next.message })
      }
      return true
    },

    connect: (a, b) => {
      if (links.has(linkOf(a, b))) return
      for (const [from, to] of [[a, b], [b, a]] as const) {
        links.add(linkOf(from, to))
        transit.set(linkOf(from, to), [])
      }
      for (const [from, to] of [[a, b], [b, a]] as const) {
        world.run(from, { type: 'connected', hub: to })
        for (const frame of at(from).frames) if (frame.header.no >= at(to).gate.wanted(nameOfLog(frame.log))) send(from, to, { frame })
        send(from, to, { ack: at(from).gate.wanted(`${to}/1`) - 1 })
      }
    },

    cut: (a, b) => {
      if (!links.has(linkOf(a, b))) return
      for (const [from, to] of [[a, b], [b, a]] as const) {
        links.delete(linkOf(from, to))
        transit.delete(linkOf(from, to))
      }
      world.run(a, { type: 'disconnected', hub: b })
      world.run(b, { type: 'disconnected', hub: a })
    },

    connected: (a, b) => links.has(linkOf(a, b)),

    tick: (ms = TICK_MS) => {
      world.nowMs += ms
      for (const { index } of hubs) world.run(index, { type: 'tick' })
    },

    restart: (index) => {
      const owner = at(index)
      const linked = hubs.filter((other) => links.has(linkOf(index, other.index)))
      for (const other of linked) world.cut(index, other.index)
      for (const item of [...owner.queue, ...owner.parked]) item.error = new TriforceError('STOPPING', {})
      owner.queue = []
      owner.parked = []
      owner.hub = createHub({ network: NETWORK, me: index, state: owner.hub.state, spread: false, ...options })
      world.run(index, { type: 'writing', log: owner.tail.log })
      for (const other of linked) world.connect(index, other.index)
    },

    settle: (rounds = ROUNDS_MAX) => {
      for (let round = 0; round < rounds; round += 1) {
        let moved = false
        for (const { index, queue } of hubs) {
          if (queue.length === 0) continue
          world.commit(index)
          moved = true
        }
        for (const from of [0, 1, 2]) for (const to of [0, 1, 2]) while (world.deliver(from, to)) moved = true
        if (moved) continue
        if (hubs.every(({ parked, hub }) => parked.length === 0 && hub.state.gives.size === 0)) return
        world.tick()
      }
    },

    done: (index, intent) => {
      const item = world.submit(index, intent)
      world.settle()
      if (item.error !== undefined) throw item.error
      if (item.result === undefined) throw new Error('it was neither logged nor refused')
      return item.result
    },

    account: (home, tier = 'free', name = 'somebody') => {
      for (;;) {
        accounts += 1
        const publicKey = testKey(new Uint8Array(32).fill(accounts & 0xff).fill(99 + (accounts >> 8), 0, 8)).signer.publicKey
        const id = accountIdOf(publicKey)
        if (homeOf(hubKeys, toHex(id)) !== home) continue
        world.done(home, { eid: id, decide: () => ({ type: 'entries', entries: [encodeEntry({ k: 'AccountOpen', account: id, publicKey, name, tier })] }) })
        return { id, hex: toHex(id), publicKey }
      }
    },
  }

  function take(owner: CoreHub, frame: CheckedFrame): void {
    const before = owner.hub.state.logs.get(nameOfLog(frame.log))?.frame ?? 0
    if (frame.header.no !== before + 1) return
    foldFrame(owner.hub.state, frame)
    const status = owner.hub.state.logs.get(nameOfLog(frame.log))!.status
    if (status.is === 'refused') throw new Error(`hub ${owner.index} refuses frame ${frame.header.no} of ${nameOfLog(frame.log)}: ${status.problem}`)
    for (const [place, entry] of frame.entries.entries()) {
      const known = owner.logged.get(toHex(entry.eid))
      if (known === undefined || bytesEqual(known.bytes, frame.entryBytes[place]!)) owner.logged.set(toHex(entry.eid), { entry, bytes: frame.entryBytes[place]! })
    }
    folded(owner.index, frame)
    for (const next of owner.gate.ready()) take(owner, next)
  }

  for (const owner of hubs) {
    const key = signDocument(keys[owner.index]!, 'epochKey', { v: 1, network: NETWORK, hub: owner.index, epoch: 1, key: owner.signer.publicKey })
    owner.queue.push({ by: 'core', intent: { eid: new Uint8Array(16).fill(owner.index), decide: () => ({ type: 'entries', entries: [encodeEntry({ k: 'EpochOpen', hub: owner.index, epoch: 1, key })] }) } })
    world.run(owner.index, { type: 'writing', log: owner.tail.log })
  }
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) world.connect(a, b)
  world.settle()
  return world
}
