/**
 * What this machine is: processor, memory, GPUs with their driver. Read with systeminformation, which calls the system's
 * own tools, and from the drivers themselves; a tool that is missing or answers nonsense leaves its part empty and nothing else.
 */
import { statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import process from 'node:process'
import type { Clock } from '../protocol/ports.ts'
import { readAmdCards } from './amd-cards.ts'
import { graphicsFrom } from './graphics.ts'
import type { Hardware } from './interface.ts'
import { readNvidia } from './nvidia-smi.ts'

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

/** A machine as its operator wants to know it. */
export interface Machine extends Hardware {
  /** Of NVIDIA; undefined where there is none. */
  readonly driver: string | undefined
  /** Newest CUDA that the driver can run. */
  readonly cuda: string | undefined
  /** Sentences with their way out: what is there and cannot be used. */
  readonly problems: readonly string[]
}

export interface HardwareProbe {
  /** Never rejects. */
  read(): Promise<Machine>
}

export function createHardwareProbe(components: HardwareProbeComponents, options: HardwareProbeOptions): HardwareProbe {
  const { clock } = components
  const { dataDir, maxAgeMs, waitMsMax } = { ...hardwareProbeDefaults, ...options }
  let reading: Promise<Machine> | undefined
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

  async function readNow(): Promise<Machine> {
    const ramBytes = totalmem()
    // Only nodes that lend look at their machine.
    const { default: si } = await import('systeminformation')
    const [graphics, cpu, disk, nvidia, amd] = await Promise.all([
      within(si.graphics(), undefined), within(si.cpu(), undefined), within(statfs(dataDir), undefined), readNvidia(waitMsMax), readAmdCards(),
    ])
    const { gpus, problems } = graphicsFrom({ controllers: graphics?.controllers ?? [], nvidia, amd, ramBytes })
    return {
      gpus,
      cpu: cpuName(cpu?.manufacturer, cpu?.brand),
      cores: availableParallelism(),
      ramBytes,
      diskFreeBytes: disk === undefined ? 0 : disk.bavail * disk.bsize,
      platform: `${process.platform} ${process.arch}`,
      driver: nvidia.driver,
      cuda: nvidia.cuda,
      problems,
    }
  }

  async function within<T>(work: Promise<T>, otherwise: T | undefined): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<T | undefined>()
    const cancel = clock.after(waitMsMax, () => resolve(otherwise))
    work.then(resolve, () => resolve(otherwise))
    return await promise.finally(cancel)
  }
}

function cpuName(manufacturer: string | undefined, brand: string | undefined): string {
  return [manufacturer, brand].filter((part) => part !== undefined && part !== '').join(' ').slice(0, 256) || 'unknown processor'
}
