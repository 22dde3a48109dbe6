/**
 * From what the system's tools say to the GPUs that can hold a model: pure, so that recorded answers of many machines can
 * be tested. Takes systeminformation's controllers, NVIDIA's own report and AMD's sysfs; gives GPUs and what is wrong.
 */
import { CAPACITY_GPUS_MAX } from '../protocol/limits.ts'
import type { Gpu } from '../protocol/messages/capacity.ts'
import type { AmdCard } from './amd-cards.ts'
import type { NvidiaReport } from './nvidia-smi.ts'

/** What a graphics controller must tell to be of use here; a part of systeminformation's type. */
export interface GraphicsController {
  readonly vendor?: string
  readonly model?: string
  readonly name?: string
  readonly busAddress?: string
  /** MiB. */
  readonly vram?: number | null
  readonly memoryTotal?: number
  readonly memoryFree?: number
}

export interface GraphicsReports {
  readonly controllers: readonly GraphicsController[]
  readonly nvidia: NvidiaReport
  readonly amd: readonly AmdCard[]
  readonly ramBytes: number
}

export interface Graphics {
  /** The largest first. */
  readonly gpus: readonly Gpu[]
  /** Sentences with their way out: a card that cannot be used as it is. */
  readonly problems: readonly string[]
}

const MIB = 1024 * 1024

// Below it is a display adapter (server boards and virtual machines have one), no place for a model.
const VRAM_BYTES_MIN = 1024 * MIB

// macOS lets the GPU use about three quarters of the common memory.
const UNIFIED_PART = 0.75

/** Graphics inside a processor borrow its memory; what they report as theirs is not there twice. */
const INTEGRATED = /\b(?:u?hd graphics|iris|radeon\(tm\) graphics|radeon graphics|vega \d+ graphics|basic display|basic render|vmware|virtio|qxl|bochs|cirrus|aspeed|matrox|hyper-v)\b/i

export function graphicsFrom({ controllers, nvidia, amd, ramBytes }: GraphicsReports): Graphics {
  const problems: string[] = []
  const found = controllers.flatMap((controller): Gpu[] => {
    const vendor = `${controller.vendor ?? ''} ${controller.model ?? ''} ${controller.name ?? ''}`
    if (/nvidia/i.test(vendor)) return nvidia.gpus.length > 0 ? [] : unreportedNvidia(controller, nvidia, problems)
    if (/\bamd\b|advanced micro|\bati\b|radeon/i.test(vendor)) return amdGpu(controller, amd, problems)
    return plainGpu(controller, ramBytes)
  })
  // A card that lspci did not show, as in a container.
  const unseen = amd.filter((card) => !controllers.some((controller) => isAt(controller, card)))
    .map((card) => ({ name: card.product ?? 'AMD GPU', vramBytes: card.vramBytes, vramFreeBytes: card.vramBytes - card.vramUsedBytes }))
  const gpus = [...nvidia.gpus, ...found, ...unseen].filter(({ vramBytes }) => vramBytes >= VRAM_BYTES_MIN)
  return { gpus: gpus.sort((a, b) => b.vramBytes - a.vramBytes).slice(0, CAPACITY_GPUS_MAX), problems }
}

/** An NVIDIA card for which nvidia-smi says nothing, although systeminformation may have heard of its memory. */
function unreportedNvidia(controller: GraphicsController, { driver }: NvidiaReport, problems: string[]): Gpu[] {
  const vramBytes = bytesOfMib(controller.memoryTotal)
  if (vramBytes > 0) return [gpuOf(controller, vramBytes)]
  problems.push(driver === undefined
    ? `${nameOf(controller)} is built in, but its driver does not answer; install NVIDIA's driver until "nvidia-smi" shows the card`
    : `${nameOf(controller)}: driver ${driver} does not tell how much memory it has, so it counts as none; Ollama may use it all the same`)
  return []
}

function amdGpu(controller: GraphicsController, amd: readonly AmdCard[], problems: string[]): Gpu[] {
  const card = amd.find((one) => isAt(controller, one))
  if (card !== undefined) {
    if (INTEGRATED.test(nameOf(controller)) && card.vramBytes < 4 * VRAM_BYTES_MIN) return []
    return [{ name: card.product ?? nameOf(controller), vramBytes: card.vramBytes, vramFreeBytes: card.vramBytes - card.vramUsedBytes }]
  }
  if (INTEGRATED.test(nameOf(controller))) return []
  const vramBytes = bytesOfMib(controller.memoryTotal) || bytesOfMib(controller.vram)
  if (vramBytes >= VRAM_BYTES_MIN) return [gpuOf(controller, vramBytes)]
  problems.push(`${nameOf(controller)} is built in, but how much memory it has is not known; load the amdgpu driver (Linux) or install AMD's (Windows)`)
  return []
}

function plainGpu(controller: GraphicsController, ramBytes: number): Gpu[] {
  const apple = /apple/i.test(`${controller.vendor ?? ''} ${controller.model ?? ''}`)
  if (apple) return [gpuOf(controller, Math.floor(ramBytes * UNIFIED_PART))]
  if (INTEGRATED.test(nameOf(controller))) return []
  return [gpuOf(controller, bytesOfMib(controller.memoryTotal) || bytesOfMib(controller.vram))]
}

function gpuOf(controller: GraphicsController, vramBytes: number): Gpu {
  // Where the driver tells nothing of free memory, all of it is taken to be free.
  const vramFreeBytes = controller.memoryFree === undefined ? vramBytes : Math.min(bytesOfMib(controller.memoryFree), vramBytes)
  return { name: nameOf(controller), vramBytes, vramFreeBytes }
}

function nameOf(controller: GraphicsController): string {
  return (controller.name || controller.model || controller.vendor || 'GPU').trim().slice(0, 256)
}

function isAt(controller: GraphicsController, card: AmdCard): boolean {
  return card.busAddress !== '' && (controller.busAddress ?? '').toLowerCase().endsWith(card.busAddress.toLowerCase())
}

function bytesOfMib(value: number | null | undefined): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.floor(value * MIB) : 0
}
