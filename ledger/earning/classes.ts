/** Which class of the hardware table a device is paid by. */
import { matches } from '../tables/pattern.ts'
import type { HardwareRow, HardwareTable } from '../tables/tables.ts'

/** One graphics processor as its node announces it. */
export interface Hardware {
  readonly name: string
  readonly vramBytes: number
  /** Where somebody measured it. */
  readonly tokensPerSecond?: number
}

const GIB = 1024 ** 3

/** Drivers keep a little for themselves: an RTX 4090 shows 23.99 GiB, a Mac about three quarters of its memory. */
const MEMORY_PERCENT_MIN = 95

/**
 * The listed class of this name, if the device has its memory; else the nearest class at or below its memory (and speed,
 * where both are known). Gives undefined where it is too small for all: then it is paid as a CPU.
 */
export function classify(table: HardwareTable, hardware: Hardware): HardwareRow | undefined {
  const fits = ({ memoryGib }: HardwareRow) => hardware.vramBytes * 100 >= memoryGib * GIB * MEMORY_PERCENT_MIN
  const fitting = table.rows.filter(fits)
  const named = nearest(fitting.filter(({ names }) => names.some((name) => matches(name, hardware.name))))
  if (named !== undefined) return named
  const unified = hardware.name.toLowerCase().startsWith('apple')
  const { tokensPerSecond } = hardware
  const quickEnough = (row: HardwareRow) => row.tokensPerSecond === null || tokensPerSecond === undefined || tokensPerSecond >= row.tokensPerSecond
  return nearest(fitting.filter((row) => row.unified === unified && quickEnough(row)))
    ?? (hardware.vramBytes * 100 >= table.memoryGibMin * GIB * MEMORY_PERCENT_MIN ? lowest(table.rows) : undefined)
}

/** Most memory; of equals, the lower rate. */
function nearest(rows: readonly HardwareRow[]): HardwareRow | undefined {
  return rows.reduce<HardwareRow | undefined>((best, row) => {
    if (best === undefined || row.memoryGib > best.memoryGib) return row
    return row.memoryGib === best.memoryGib && row.microCreditsPerHour < best.microCreditsPerHour ? row : best
  }, undefined)
}

function lowest(rows: readonly HardwareRow[]): HardwareRow | undefined {
  return rows.reduce<HardwareRow | undefined>((best, row) => best === undefined || row.microCreditsPerHour < best.microCreditsPerHour ? row : best, undefined)
}
