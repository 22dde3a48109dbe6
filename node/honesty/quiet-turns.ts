/**
 * When a machine is asked, so that its answer can be timed: one question of this hub at a time, at a moment at which it has a
 * place free. Where it has none, the hub's ordinary jobs go elsewhere for a while, if somebody else can take them; at most a
 * tenth of the time, so that no machine loses its work to its checks. How many streams run there meanwhile is averaged over the question.
 *
 * A machine that gets no jobs while it is full, and one as soon as it has a place, sees what placement always does.
 */
import type { Clock } from '../../protocol/ports.ts'
import type { CapacityTable } from '../capacity/table.ts'

export interface QuietTurnsComponents {
  readonly table: Pick<CapacityTable, 'get' | 'onChange'>
  readonly clock: Clock
}

export interface QuietTurnsOptions {
  /** Longest wait for a free place; then it is asked as it is. Default 15 s. */
  readonly roomMs?: number
}

export interface QuietTurns {
  /** False: it is full, and not waited for long enough yet. To be asked again and again. */
  ready(peer: string): boolean
  /** Ordinary jobs of this hub go elsewhere until the question ends, 15 s at most. */
  hold(peer: string): void
  isHeld(peer: string): boolean
  /** Asks when no other question of this hub runs there. */
  ask<Answer>(peer: string, question: () => Promise<Answer>): Promise<Answer>
  /** Streams that ran there during the question that runs there now, itself included, on the average; at least 1. Undefined where nothing is known. */
  streams(peer: string): number | undefined
}

/** With more streams at once it cannot be told what one would reach. */
export const TIMED_STREAMS_MAX = 4

const ROOM_MS = 15_000
const HOLD_MS_MAX = 15_000
/** After a hold none follows for so many times as long. */
const HOLD_REST_TIMES = 9
/** Machines that are held at once, and remembered: a hub has few checks at once. */
const HELD_MAX = 256
const REMEMBERED_MAX = 20_000

/** The sum of streams over time, and what runs since `atMs`. */
interface Meter {
  readonly fromMs: number
  streamMs: number
  streams: number
  atMs: number
}

export function createQuietTurns({ table, clock }: QuietTurnsComponents, options: QuietTurnsOptions = {}): QuietTurns {
  const { roomMs = ROOM_MS } = options
  const turns = new Map<string, Promise<unknown>>()
  const meters = new Map<string, Meter>()
  const waits = new Map<string, number>()
  const holds = new Map<string, number>()
  const rests = new Map<string, number>()

  function release(peer: string): void {
    const sinceMs = holds.get(peer)
    if (sinceMs === undefined) return
    const heldMs = Math.min(clock.monotonicMs() - sinceMs, HOLD_MS_MAX)
    holds.delete(peer)
    remember(rests, peer, sinceMs + heldMs * (1 + HOLD_REST_TIMES))
  }

  function isHeld(peer: string): boolean {
    const sinceMs = holds.size === 0 ? undefined : holds.get(peer)
    if (sinceMs === undefined) return false
    if (clock.monotonicMs() - sinceMs < HOLD_MS_MAX) return true
    release(peer)
    return false
  }

  function hold(peer: string): void {
    if (holds.size >= HELD_MAX) for (const held of holds.keys()) isHeld(held)
    if (holds.size < HELD_MAX && !holds.has(peer) && clock.monotonicMs() >= (rests.get(peer) ?? 0)) holds.set(peer, clock.monotonicMs())
  }

  function goOn(meter: Meter, streams: number): void {
    const nowMs = clock.monotonicMs()
    meter.streamMs += meter.streams * (nowMs - meter.atMs)
    meter.atMs = nowMs
    meter.streams = Math.max(1, streams)
  }

  async function metered<Answer>(peer: string, question: () => Promise<Answer>): Promise<Answer> {
    const slots = table.get(peer)?.capacity.slots
    const nowMs = clock.monotonicMs()
    // What it announced does not have the question yet.
    const meter = { fromMs: nowMs, streamMs: 0, streams: Math.max(1, Math.min((slots?.busy ?? 0) + 1, slots?.total ?? 1)), atMs: nowMs }
    if (slots !== undefined) meters.set(peer, meter)
    const stop = table.onChange(() => { goOn(meter, table.get(peer)?.capacity.slots.busy ?? meter.streams) })
    try {
      return await question()
    } finally {
      stop()
      meters.delete(peer)
      release(peer)
    }
  }

  return {
    ready(peer) {
      const slots = table.get(peer)?.capacity.slots
      const sinceMs = waits.get(peer) ?? clock.monotonicMs()
      const isReady = slots === undefined || hasRoom(slots) || clock.monotonicMs() - sinceMs >= roomMs
      if (isReady) waits.delete(peer)
      else {
        if (!waits.has(peer)) remember(waits, peer, sinceMs)
        hold(peer)
      }
      return isReady
    },
    hold,
    isHeld,
    ask(peer, question) {
      const before = turns.get(peer) ?? Promise.resolve()
      const mine = before.then(() => metered(peer, question))
      const over = mine.then(() => undefined, () => undefined).then(() => {
        if (turns.get(peer) === over) turns.delete(peer)
      })
      turns.set(peer, over)
      return mine
    },
    streams(peer) {
      const meter = meters.get(peer)
      if (meter === undefined) return undefined
      goOn(meter, meter.streams)
      return meter.atMs === meter.fromMs ? meter.streams : meter.streamMs / (meter.atMs - meter.fromMs)
    },
  }
}

/** The question would run at once, with few others. */
function hasRoom({ total, busy, queued }: { readonly total: number; readonly busy: number; readonly queued: number }): boolean {
  return queued === 0 && busy < Math.min(total, TIMED_STREAMS_MAX)
}

function remember(map: Map<string, number>, peer: string, value: number): void {
  map.delete(peer)
  if (map.size >= REMEMBERED_MAX) map.delete(map.keys().next().value!)
  map.set(peer, value)
}
