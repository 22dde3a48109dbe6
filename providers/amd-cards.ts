/**
 * Memory of AMD cards on Linux. What `lspci` tells is the window of the bus, 256 MB of a 24 GB card; the amdgpu driver
 * says the truth in sysfs.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'

export interface AmdCard {
  /** PCI address without its domain, such as `03:00.0`. */
  readonly busAddress: string
  readonly vramBytes: number
  readonly vramUsedBytes: number
  /** Where the driver knows it. */
  readonly product: string | undefined
}

const CARDS_MAX = 32
const AMD_VENDOR = '0x1002'

/** `root`: the folder of the graphics cards; a test gives a copy. Empty where there is none. */
export async function readAmdCards(root = '/sys/class/drm'): Promise<readonly AmdCard[]> {
  const names = await readdir(root).catch(() => [])
  const cards = await Promise.all(names.filter((name) => /^card\d+$/.test(name)).slice(0, CARDS_MAX).map((name) => readCard(join(root, name, 'device'))))
  return cards.filter((card) => card !== undefined)
}

async function readCard(folder: string): Promise<AmdCard | undefined> {
  const [vendor, total, used, product] = await Promise.all(
    ['vendor', 'mem_info_vram_total', 'mem_info_vram_used', 'product_name'].map((file) => textOf(join(folder, file))),
  )
  const vramBytes = bytesOf(total)
  if (vendor !== AMD_VENDOR || vramBytes === 0) return undefined
  const target = await readlink(folder).catch(() => '')
  return { busAddress: basename(target).replace(/^[0-9a-f]{4}:/, ''), vramBytes, vramUsedBytes: Math.min(bytesOf(used), vramBytes), product: product || undefined }
}

async function textOf(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim().slice(0, 256)
}

function bytesOf(text: string | undefined): number {
  const value = Number(text)
  return text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(value) ? value : 0
}
