/**
 * How fast a machine can and must be. One token of one stream reads all weights of a model from memory once, so bandwidth
 * over weights is about the most, and a working setup reaches half of it. Pure; rates are tokens a second.
 */
import type { OfferedModel } from '../../protocol/messages/capacity.ts'

/** GB/s by class of the hardware table, from the makers' data sheets. `cpu`: a server with twelve channels of DDR5. */
const bandwidths: Readonly<Record<string, number>> = {
  'rtx-3060': 360, 'rtx-3080': 760, 'rtx-4080': 717, 'rtx-4090': 1_008, 'a100-40': 1_555, 'a100-80': 1_935, 'mac-m2-ultra': 800, 'mac-m3-max': 300, cpu: 460,
}

/** Bits of a weight with its scales, by the beginning of the quantisation's name (llama.cpp's table, rounded). */
const weightBits: readonly (readonly [prefix: string, bits: number])[] = [
  ['Q2', 3], ['IQ2', 2.5], ['IQ3', 3.5], ['Q3', 3.9], ['IQ4', 4.5], ['Q4', 4.8], ['MXFP4', 4.5], ['Q5', 5.6], ['Q6', 6.6], ['Q8', 8.5], ['FP8', 8], ['F16', 16], ['BF16', 16], ['FP16', 16], ['F32', 32],
]
const BITS_UNKNOWN = 4.8

export type PacedModel = Pick<OfferedModel, 'parameters' | 'quantization' | 'tokensPerSecond'>

/** 0 where the size is unknown. */
export function weightBytes({ parameters, quantization }: Pick<OfferedModel, 'parameters' | 'quantization'>): number {
  const name = quantization.toUpperCase()
  const bits = weightBits.find(([prefix]) => name.startsWith(prefix))?.[1] ?? BITS_UNKNOWN
  return parameters * bits / 8
}

export interface PacedHost {
  /** Class of each of its devices. */
  readonly classes: readonly string[]
  /** Memory of its graphics processors together. */
  readonly vramBytes: number
}

/** Part of the ideal that the slowest honest setup reaches, network and prompt included. */
const FLOOR_PART = 0.3
/** Above this what counts is the way to the hub, and no longer the machine. */
const FLOOR_MAX = 100
/** Weights that leave room for the context; more are partly read from the slow memory. */
const VRAM_PART = 0.85
/** Part of its own word that a machine must reach when it is asked alone: its average is of busier times. */
const WORD_PART = 0.25
const WORD_MAX = 40

/** The least that one stream must reach while nothing else runs there; 0 where nothing can be asked for. */
export function floorOf(model: PacedModel, host: PacedHost): number {
  return Math.max(classFloor(model, host), Math.min(WORD_MAX, model.tokensPerSecond * WORD_PART))
}

/** The same by its class alone: 0 for a machine without a card, for unknown classes, and for a model that does not fit into the cards. */
export function classFloor(model: PacedModel, { classes, vramBytes }: PacedHost): number {
  const bytes = weightBytes(model)
  const bandwidth = slowest(classes.filter((name) => name !== 'cpu'))
  if (bytes === 0 || bandwidth === undefined || bytes > vramBytes * VRAM_PART) return 0
  return Math.min(FLOOR_MAX, FLOOR_PART * bandwidth * 1e9 / bytes)
}

/** Models with experts read a tenth of their weights for a token, and a draft model guesses two or three at once. */
const CEILING_TIMES = 30
/** Below it nothing is impossible: a model of a million weights gives 3,500 on one core. */
const CEILING_MIN = 10_000

/** More than this no machine of its class gives to one stream. */
export function ceilingOf(model: PacedModel, { classes }: PacedHost): number {
  const bytes = weightBytes(model)
  const bandwidth = Math.max(...classes.map((name) => bandwidths[name] ?? Infinity))
  return bytes === 0 ? Infinity : Math.max(bytes < SMALL_BYTES ? CEILING_MIN : 0, CEILING_TIMES * bandwidth * 1e9 / bytes)
}

const SMALL_BYTES = 200_000_000

function slowest(classes: readonly string[]): number | undefined {
  const known = classes.map((name) => bandwidths[name])
  return known.length === 0 || known.includes(undefined) ? undefined : Math.min(...known as number[])
}
