/**
 * Three hubs that log real frames and make checkpoints of them: logs, states, rows of a store, and messages that a test
 * delivers, loses or doubles as it likes. One hub is one checkpoint machine on one state; nothing else of a hub runs.
 */
import { createFinalFold } from '../../ledger/checkpoint/final-fold.ts'
import type { LoadedSnapshot, SnapshotSource } from '../../ledger/checkpoint/snapshot.ts'
import { encodeEntry, type EncodedEntry, type Entry, type Unnamed } from '../../ledger/entries/entry.ts'
import { applyEntry } from '../../ledger/fold/apply.ts'
import { dependenciesMet } from '../../ledger/fold/causal.ts'
import { closeFrame, foldFrame } from '../../ledger/fold/frame-fold.ts'
import { homeOf } from '../../ledger/fold/homes.ts'
import { createState, type LedgerState, type LogName } from '../../ledger/fold/state.ts'
import { buildFrame, emptyTail, type CheckedFrame, type FrameContext, type LogTail, type Seen } from '../../ledger/frame.ts'
import { createCheckpoints, type CheckpointMachine, type CheckpointOptions } from '../../ledger/hub/checkpoint.ts'
import type { HubEffect, HubEvent, HubMessage } from '../../ledger/hub/events.ts'
import { nameOfLog, type HubState } from '../../ledger/hub/hub-state.ts'
import { createHub } from '../../ledger/hub/step.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { signDocument } from '../../protocol/signed.ts'
import { contextOf } from './ledger-frames.ts'
import { testFederation, testKey, type TestFederation, type TestKey } from './federation.ts'

export interface CheckpointHub {
  readonly index: number
  readonly logKey: TestKey
  hub: HubState
  machine: CheckpointMachine
  tail: LogTail
  /** Frames on its disk, by log. */
  readonly frames: Map<LogName, CheckedFrame[]>
  readonly rows: Map<string, Uint8Array>
  readonly blobs: Map<string, Uint8Array>
  readonly warnings: string[]
  readonly proved: Extract<HubEffect, { type: 'proved' }>[]
  /** Own entries that are in the state and not in a frame yet. */
  readonly pending: EncodedEntry[]
  /** Its machine does not run. */
  down: boolean
}

export type InTransit = { readonly from: number; readonly to: number } & ({ readonly message: HubMessage } | { readonly frame: CheckedFrame })

export interface CheckpointWorld {
  readonly federation: TestFederation
  readonly context: FrameContext
  readonly hubs: readonly CheckpointHub[]
  nowMs: number
  readonly transit: InTransit[]
  say(hub: number, fields: Unnamed<Entry>): void
  /** Puts what was said into a frame and sends it to the others. */
  commit(hub: number): void
  run(hub: number, event: HubEvent): void
  /** What is on its way from `at` in the queue arrives. */
  deliver(at: number): void
  deliverAll(): void
  /** Time passes and everything arrives, `times` over. */
  pass(times?: number, ms?: number): void
  /** The hub's process ends, and starts again with what is on its disk. */
  restart(hub: number, snapshot?: LoadedSnapshot): void
  source(hub: number): SnapshotSource
  /** A fresh account whose home is that hub; its AccountOpen is said there. */
  account(home: number): { readonly id: Uint8Array; readonly hex: string }
}

export function createCheckpointWorld(options: Omit<CheckpointOptions, 'rows' | 'start'> = {}): CheckpointWorld {
  const federation = testFederation({ network: 'checkpoint-test' })
  const context = contextOf(federation)
  const transit: InTransit[] = []
  let accounts = 0

  const hubs = [0, 1, 2].map((index): CheckpointHub => {
    const state = createState(context.network, context.hubKeys)
    return {
      index, logKey: testKey(), hub: createHub({ network: context.network, me: index, state }), machine: undefined as never, tail: emptyTail({ hub: index, epoch: 1 }),
      frames: new Map(), rows: new Map(), blobs: new Map(), warnings: [], proved: [], pending: [], down: false,
    }
  })

  function seenBy(state: LedgerState, me: number): Seen {
    return [0, 1, 2].map((hub) => ({ epoch: 1, no: hub === me ? 0 : state.logs.get(`${hub}/1`)?.frame ?? 0 })).map((seen) => seen.no === 0 ? { epoch: 0, no: 0 } : seen)
  }

  function perform(of: CheckpointHub, effect: HubEffect): void {
    switch (effect.type) {
      case 'send':
        if (of.hub.connected.has(effect.hub)) transit.push({ from: of.index, to: effect.hub, message: effect.message })
        return
      case 'persist':
        of.rows.set(effect.key, effect.value)
        world.run(of.index, { type: 'persisted', key: effect.key })
        return
      case 'blob':
        if (effect.value === undefined) of.blobs.delete(effect.key)
        else of.blobs.set(effect.key, effect.value)
        world.run(of.index, { type: 'persisted', key: effect.key })
        return
      case 'load': {
        const stored = (of.frames.get(nameOfLog(effect.log)) ?? []).slice(effect.from - 1, effect.to)
        let bytes = 0
        const frames = stored.filter((frame, at) => (bytes += frame.bytes.byteLength) <= effect.bytesMax || at === 0).map((frame) => frame.bytes)
        world.run(of.index, { type: 'loaded', log: effect.log, from: effect.from, frames })
        return
      }
      case 'proved':
        of.proved.push(effect)
        return
      case 'warn':
        of.warnings.push(effect.text)
        return
      case 'append':
      case 'heard':
      case 'retry':
      case 'truncate':
      case 'loadOrphans':
      case 'compare':
        throw new Error(`a checkpoint machine does not want to ${effect.type}`)
    }
  }

  function start(of: CheckpointHub, snapshot?: LoadedSnapshot): void {
    of.machine = createCheckpoints({ ...context, signer: federation.hubs[of.index]!.signer }, {
      ...options, rows: new Map(of.rows), ...(snapshot === undefined ? {} : { start: snapshot.start }),
    })
  }

  /** Folds all that is on its disk and rests on nothing that is not. */
  function fold({ hub: { state }, frames: stored }: CheckpointHub): void {
    for (let moved = true; moved;) {
      moved = false
      for (const [name, frames] of stored) {
        const next = frames[state.logs.get(name)?.frame ?? 0]
        if (next === undefined || !dependenciesMet(state, next)) continue
        foldFrame(state, next)
        moved = true
      }
    }
  }

  function take(of: CheckpointHub, frame: CheckedFrame): void {
    const name = nameOfLog(frame.log)
    const stored = of.frames.get(name) ?? []
    of.frames.set(name, stored)
    if (frame.header.no === stored.length + 1) stored.push(frame)
    fold(of)
    if (!of.down) world.run(of.index, { type: 'folded', log: frame.log, frame: frame.header.no, tsMs: frame.header.tsMs, entries: [] })
    world.run(frame.log.hub, { type: 'replicated', log: frame.log, frame: frame.header.no })
  }

  const world: CheckpointWorld = {
    federation, context, hubs, transit, nowMs: 1_800_000_000_000,

    say(index, fields) {
      const of = hubs[index]!
      const encoded = encodeEntry(fields)
      const { tail } = of
      const at = { tsMs: Math.max(tail.tsMs + 1, world.nowMs), hub: index, epoch: 1, frame: tail.no + 1, seq: tail.tree.size + of.pending.length }
      applyEntry(of.hub.state, encoded, at)
      of.pending.push(encoded)
    },

    commit(index) {
      const of = hubs[index]!
      if (of.pending.length === 0) return
      const frame = buildFrame(of.tail, of.pending.splice(0), {
        network: context.network, signer: of.logKey.signer, nowMs: world.nowMs, seen: seenBy(of.hub.state, index),
      })
      of.tail = frame.tail
      closeFrame(of.hub.state, frame.header)
      const name = nameOfLog(frame.log)
      of.frames.set(name, [...of.frames.get(name) ?? [], frame])
      for (const other of hubs) if (other !== of) transit.push({ from: index, to: other.index, frame })
      world.run(index, { type: 'folded', log: frame.log, frame: frame.header.no, tsMs: frame.header.tsMs, entries: [] })
    },

    run(index, event) {
      const of = hubs[index]!
      if (of.down) return
      for (const effect of of.machine.step(of.hub, event, world.nowMs)) perform(of, effect)
    },

    deliver(at) {
      const [next] = transit.splice(at, 1)
      if (next === undefined) return
      if ('frame' in next) take(hubs[next.to]!, next.frame)
      else if (!hubs[next.to]!.down && hubs[next.to]!.hub.connected.has(next.from)) world.run(next.to, { type: 'message', hub: next.from, message: next.message })
    },

    deliverAll() {
      while (transit.length > 0) world.deliver(0)
    },

    pass(times = 1, ms = 1_000) {
      for (let count = 0; count < times; count += 1) {
        world.nowMs += ms
        for (const { index } of hubs) world.run(index, { type: 'tick' })
        world.deliverAll()
      }
    },

    restart(index, snapshot) {
      const of = hubs[index]!
      const state = snapshot?.live ?? createState(context.network, context.hubKeys)
      of.hub = createHub({ network: context.network, me: index, state })
      fold(of)
      of.down = false
      start(of, snapshot)
      of.hub.writing = of.tail.log
      connect(of)
    },

    source: (index) => ({
      get: (key) => Promise.resolve(hubs[index]!.blobs.get(key)),
      frameHash: (log, no) => Promise.resolve(hubs[index]!.frames.get(nameOfLog(log))?.[no - 1]?.hash),
    }),

    account(home) {
      for (;;) {
        accounts += 1
        const seed = new Uint8Array(32).fill(7)
        new DataView(seed.buffer).setUint32(0, accounts)
        const publicKey = testKey(seed).signer.publicKey
        const id = accountIdOf(publicKey)
        if (homeOf(context.hubKeys, toHex(id)) !== home) continue
        world.say(home, { k: 'AccountOpen', account: id, publicKey, name: `account ${accounts}`, tier: 'free' })
        return { id, hex: toHex(id) }
      }
    },
  }

  function connect(of: CheckpointHub): void {
    for (const other of hubs) {
      if (other === of || other.down) continue
      for (const [a, b] of [[of, other], [other, of]] as const) {
        a.hub.connected.add(b.index)
        world.run(a.index, { type: 'connected', hub: b.index })
      }
    }
  }

  for (const of of hubs) {
    start(of)
    const key = signDocument(federation.hubs[of.index]!.signer, 'epochKey', { v: 1, network: context.network, hub: of.index, epoch: 1, key: of.logKey.signer.publicKey })
    world.say(of.index, { k: 'EpochOpen', hub: of.index, epoch: 1, key })
    world.commit(of.index)
    of.hub.writing = of.tail.log
  }
  world.deliverAll()
  for (const of of hubs) connect(of)
  return world
}

/** Root of the state tree, computed from nothing. */
export function rootOfState(context: FrameContext, state: LedgerState): Uint8Array {
  return createFinalFold(context, { state: { ...state, touched: new Set() }, tails: new Map() }).content().root
}
