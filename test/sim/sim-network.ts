/**
 * The network between the hubs: one connection between any two, ordered within itself, that breaks, is slow, or stands
 * still in one direction. It behaves as node/settlement/hub-links.ts does: one message is dealt with at a time, a newer
 * connection to the same hub replaces the older one, an end is noticed late.
 */
import { toTriforceError } from '../../protocol/errors.ts'
import type { Random } from '../../protocol/ports.ts'
import type { SimProcess } from './sim-hub.ts'
import type { Scheduler } from './sim-scheduler.ts'

export interface NetworkOptions {
  readonly latencyMs: readonly [min: number, max: number]
  /** Bytes that may be on their way before a sender is told to stop. */
  readonly windowBytes: number
  readonly reconnectMs: number
}

export interface SimNetwork {
  /** The process can be reached from now on. */
  up(process: SimProcess): void
  down(process: SimProcess, noticedMs: number): void
  /** No connection between these two hubs until `mend`. */
  cut(a: number, b: number, noticedMs: number): void
  mend(a: number, b: number): void
  /** Breaks a connection that stands; it comes back by itself. */
  drop(a: number, b: number): void
  /** This one process, by its name, and hub `hub` cannot reach each other. */
  part(process: string, hub: number): void
  meet(process: string, hub: number): void
  /** Nothing arrives from `a` at `b` for a while, though the connection stands. */
  stall(a: number, b: number, forMs: number): void
  /** Messages take this many times as long. */
  slowness: number
  mendAll(): void
  isCut(a: number, b: number): boolean
  readonly messages: number
}

interface Direction {
  readonly from: SimProcess
  readonly to: SimProcess
  queue: { readonly message: Uint8Array; readonly dueMs: number }[]
  bytes: number
  lastDueMs: number
  full: boolean
  delivering: boolean
  open: boolean
}

interface Connection {
  readonly ends: readonly [SimProcess, SimProcess]
  readonly directions: readonly [Direction, Direction]
  closed: boolean
}

export function createSimNetwork(
  { scheduler, random, onBlamed }:
  { readonly scheduler: Scheduler; readonly random: Random; readonly onBlamed: (at: SimProcess, from: number, error: unknown) => void },
  { latencyMs, windowBytes, reconnectMs }: NetworkOptions,
): SimNetwork {
  const processes = new Set<SimProcess>()
  const connections = new Set<Connection>()
  /** The connection that each process uses to each hub. */
  const current = new Map<SimProcess, Map<number, Connection>>()
  const cuts = new Set<string>()
  const parted = new Set<string>()
  const stalledUntil = new Map<string, number>()
  let messages = 0

  const pairName = (a: number, b: number) => `${Math.min(a, b)}-${Math.max(a, b)}`
  const latency = () => (latencyMs[0] + random.unit() * (latencyMs[1] - latencyMs[0])) * network.slowness

  function dial(process: SimProcess): void {
    for (const other of processes) {
      if (other.hub === process.hub || !other.life.alive) continue
      scheduler.after(random.unit() * reconnectMs, () => { connect(process, other) })
    }
  }

  function connect(a: SimProcess, b: SimProcess): void {
    if (!processes.has(a) || !processes.has(b)) return
    if (a.life.paused || b.life.paused || cuts.has(pairName(a.hub, b.hub)) || parted.has(`${a.name} ${b.hub}`) || parted.has(`${b.name} ${a.hub}`)) {
      scheduler.after(reconnectMs * (0.5 + random.unit()), () => { connect(a, b) })
      return
    }
    if ([...connections].some(({ ends, closed }) => !closed && ends.includes(a) && ends.includes(b))) return
    const direction = (from: SimProcess, to: SimProcess): Direction => ({
      from, to, queue: [], bytes: 0, lastDueMs: 0, full: false, delivering: false, open: false,
    })
    const connection: Connection = { ends: [a, b], directions: [direction(a, b), direction(b, a)], closed: false }
    connections.add(connection)
    scheduler.note(`connect ${a.name} ${b.name}`)
    for (const process of [a, b]) scheduler.after(latency(), () => { process.life.run(() => { opened(connection, process) }) })
  }

  function opened(connection: Connection, process: SimProcess): void {
    if (connection.closed || process.ledger === undefined) return
    const [outgoing, incoming] = connection.directions[0].from === process ? connection.directions : [connection.directions[1], connection.directions[0]]
    const peer = outgoing.to.hub
    const links = current.get(process)!
    const older = links.get(peer)
    if (older !== undefined) {
      close(older, 0)
      links.delete(peer)
      process.ledger.sync.disconnected(peer)
    }
    links.set(peer, connection)
    process.ledger.sync.connected(peer, (message) => send(connection, outgoing, message))
    incoming.open = true
    deliver(connection, incoming)
  }

  function send(connection: Connection, direction: Direction, message: Uint8Array): boolean {
    if (connection.closed || !direction.from.life.alive) return false
    messages += 1
    // Kept in order: a stream never overtakes itself.
    direction.lastDueMs = Math.max(direction.lastDueMs, scheduler.nowMs + latency() + message.byteLength / 50_000 * network.slowness)
    direction.queue.push({ message, dueMs: direction.lastDueMs })
    direction.bytes += message.byteLength
    deliver(connection, direction)
    if (direction.bytes < windowBytes) return true
    direction.full = true
    return false
  }

  function deliver(connection: Connection, direction: Direction): void {
    const next = direction.queue[0]
    if (next === undefined || direction.delivering || !direction.open || connection.closed) return
    direction.delivering = true
    const stalled = stalledUntil.get(`${direction.from.hub}>${direction.to.hub}`) ?? 0
    // Looked at again now and then, since a stall may be ended early.
    const dueMs = Math.max(next.dueMs, Math.min(stalled, scheduler.nowMs + 500))
    scheduler.after(dueMs - scheduler.nowMs, () => {
      direction.to.life.run(() => { arrive(connection, direction) })
    })
  }

  function arrive(connection: Connection, direction: Direction): void {
    const { from, to } = direction
    if (connection.closed || to.ledger === undefined) return
    const until = stalledUntil.get(`${from.hub}>${to.hub}`) ?? 0
    if (until > scheduler.nowMs) {
      direction.delivering = false
      deliver(connection, direction)
      return
    }
    const { message } = direction.queue.shift()!
    direction.bytes -= message.byteLength
    if (direction.full && direction.bytes < windowBytes / 2) {
      direction.full = false
      scheduler.after(latency(), () => {
        from.life.run(() => { if (!connection.closed && current.get(from)?.get(to.hub) === connection) from.ledger?.sync.drained(to.hub) })
      })
    }
    to.ledger.sync.receive(from.hub, message).then(() => {
      direction.delivering = false
      deliver(connection, direction)
    }, (error: unknown) => {
      const { code } = toTriforceError(error)
      scheduler.note(`${to.name} refuses a message of ${from.name}: ${code}`)
      if (to.life.alive) onBlamed(to, from.hub, error)
      close(connection, 20)
    })
  }

  /** Both ends are told, each at its own time up to `noticedMs` from now; then they connect again. */
  function close(connection: Connection, noticedMs: number): void {
    if (connection.closed) return
    connection.closed = true
    connections.delete(connection)
    const [a, b] = connection.ends
    scheduler.note(`disconnect ${a.name} ${b.name}`)
    for (const [process, peer] of [[a, b], [b, a]] as const) {
      scheduler.after(random.unit() * noticedMs, () => {
        process.life.run(() => {
          const links = current.get(process)
          if (links?.get(peer.hub) !== connection) return
          links.delete(peer.hub)
          process.ledger?.sync.disconnected(peer.hub)
        })
      })
    }
    scheduler.after(noticedMs + reconnectMs * (0.5 + random.unit()), () => { connect(a, b) })
  }

  const between = (a: number, b: number) => [...connections].filter(({ ends }) => ends.some(({ hub }) => hub === a) && ends.some(({ hub }) => hub === b))

  const network: SimNetwork = {
    slowness: 1,
    up(process) {
      processes.add(process)
      current.set(process, new Map())
      dial(process)
    },
    down(process, noticedMs) {
      if (!processes.delete(process)) return
      for (const connection of connections) if (connection.ends.includes(process)) close(connection, noticedMs)
      current.delete(process)
    },
    cut(a, b, noticedMs) {
      cuts.add(pairName(a, b))
      for (const connection of between(a, b)) close(connection, noticedMs)
    },
    part(process, hub) {
      parted.add(`${process} ${hub}`)
      for (const connection of connections) {
        const { ends } = connection
        if (ends.some(({ name }) => name === process) && ends.some((end) => end.hub === hub)) close(connection, 50)
      }
    },
    meet: (process, hub) => { parted.delete(`${process} ${hub}`) },
    mend: (a, b) => { cuts.delete(pairName(a, b)) },
    drop(a, b) {
      for (const connection of between(a, b)) close(connection, 100)
    },
    stall: (a, b, forMs) => { stalledUntil.set(`${a}>${b}`, scheduler.nowMs + forMs) },
    mendAll() {
      cuts.clear()
      parted.clear()
      stalledUntil.clear()
      network.slowness = 1
    },
    isCut: (a, b) => cuts.has(pairName(a, b)),
    get messages() { return messages },
  }
  return network
}
