/**
 * The real world behind the ports of protocol/ports.ts: wall clock, timers, random numbers and the log.
 * `bootstrap/` makes one System and hands its parts out; tests hand in others.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { createLog, type LogOptions } from './log.ts'
import type { Clock, Log, Random } from '../protocol/ports.ts'

export interface System {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** IP addresses of this machine now, without loopback and link-local ones. */
  readonly addresses: () => readonly string[]
}

export function createSystem(options: LogOptions): System {
  return { clock: createClock(), random: createRandom(), log: createLog(options), addresses: listAddresses }
}

export function createClock(): Clock {
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs)
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}

// randomInt takes ranges below 2^48, which is fine enough for a choice or a jitter.
const UNIT_STEPS = 2 ** 47

export function createRandom(): Random {
  return {
    bytes: (length) => new Uint8Array(randomBytes(length)),
    unit: () => randomInt(UNIT_STEPS) / UNIT_STEPS,
  }
}

/** Those that others may use: what stays within a link, or comes and goes with every container, is left out. */
function listAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((found) => (found ?? []).filter(({ internal, address }) => !internal && !LINK_LOCAL.test(address)).map(({ address }) => address))
}

const LINK_LOCAL = /^(fe80:|169\.254\.)/i
