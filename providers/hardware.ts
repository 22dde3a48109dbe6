/**
 * What this machine is: processor, memory, GPUs. Read with systeminformation, which calls the system's own tools; a
 * tool that is missing or answers nonsense leaves its part empty and nothing else.
 */
import { statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import process from 'node:process'
import si from 'systeminformation'
import { CAPACITY_GPUS_MAX } from '../protocol/limits.ts'
import type { Gpu } from '../protocol/messages/capacity.ts'
import type { Clock } from '../protocol/ports.ts'
import type { Hardware } from './interface.ts'

export interface HardwareProbeComponents {
  readonly clock: Clock
}

export interface HardwareProbeOptions {
  /** Folder whose disk is asked for free space; the model files are there. */
  readonly dataDir: string
  /** An answer is good for this long. Default 30,000 ms: free VRAM changes with every model. */
  readonly maxAgeMs?: number
  /** A tool that takes longer is given up. Default 10,000 ms: a first call of nvidia-smi can take seconds. */
  readonly waitMsMax?: number
}

export const hardwareProbeDefaults = Object.freeze({ maxAgeMs: 30_000, waitMsMax: 10_000 })

export interface HardwareProbe {
  /** Never rejects. */
  read(): Promise<Hardware>
}

/** What a graphics controller must tell to be of use here; a part of systeminformation's type. */
export interface GraphicsController {
  readonly vendor?: string
  readonly model?: string
  readonly name?: string
  /** MiB. */
  readonly vram?: number | null
  readonly memoryTotal?: number
  readonly memoryFree?: number
}

const MIB = 1024 * 1024

// Below it is a display adapter (server boards and virtual machines have one), no place for a model.
const VRAM_BYTES_MIN = 1024 * MIB

// macOS lets the GPU use about three quarters of the common memory.
const UNIFIED_PART = 0.75

export function createHardwareProbe(components: HardwareProbeComponents, options: HardwareProbeOptions): HardwareProbe {
  const { clock } = components
  const { dataDir, maxAgeMs, waitMsMax } = { ...hardwareProbeDefaults, ...options }
  let reading: Promise<Hardware> | undefined
  let readAtMs = 0

  return {
    async read() {
      if (reading === undefined || clock.monotonicMs() - readAtMs > maxAgeMs) {
        readAtMs = clock.monotonicMs()
        reading = readNow()
      }
      return await reading
    },
  }

  async function readNow(): Promise<Hardware> {
    const ramBytes = totalmem()
    const [graphics, cpu, disk] = await Promise.all([
      within(si.graphics(), undefined), within(si.cpu(), undefined), within(statfs(dataDir), undefined),
    ])
    return {
      gpus: gpusFrom(graphics?.controllers ?? [], ramBytes),
      cpu: cpuName(cpu?.manufacturer, cpu?.brand),
      cores: availableParallelism(),
      ramBytes,
      diskFreeBytes: disk === undefined ? 0 : disk.bavail * disk.bsize,
      platform: `${process.platform} ${process.arch}`,
    }
  }

  async function within<T>(work: Promise<T>, otherwise: T | undefined): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<T | undefined>()
    const cancel = clock.after(waitMsMax, () => resolve(otherwise))
    work.then(resolve, () => resolve(otherwise))
    return await promise.finally(cancel)
  }
}

/** GPUs that can hold a model, the largest first. */
export function gpusFrom(controllers: readonly GraphicsController[], ramBytes: number): readonly Gpu[] {
  return controllers.flatMap((controller): Gpu[] => {
    const name = (controller.name || controller.model || controller.vendor || 'GPU').trim().slice(0, 256)
    const apple = /apple/i.test(`${controller.vendor ?? ''} ${controller.model ?? ''}`)
    const totalMib = bytesOfMib(controller.memoryTotal) || bytesOfMib(controller.vram)
    const vramBytes = apple ? Math.floor(ramBytes * UNIFIED_PART) : totalMib
    if (vramBytes < VRAM_BYTES_MIN) return []
    // Where the driver tells nothing of free memory, all of it is taken to be free.
    const vramFreeBytes = controller.memoryFree === undefined ? vramBytes : Math.min(bytesOfMib(controller.memoryFree), vramBytes)
    return [{ name, vramBytes, vramFreeBytes }]
  }).sort((a, b) => b.vramBytes - a.vramBytes).slice(0, CAPACITY_GPUS_MAX)
}

function bytesOfMib(value: number | null | undefined): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.floor(value * MIB) : 0
}

function cpuName(manufacturer: string | undefined, brand: string | undefined): string {
  return [manufacturer, brand].filter((part) => part !== undefined && part !== '').join(' ').slice(0, 256) || 'unknown processor'
}
