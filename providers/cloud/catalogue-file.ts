/** A vendor's list of models on disk, so that a hub that starts offline still knows what it can offer. */
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { ListedModel } from './wire.ts'

const FILE_BYTES_MAX = 4 * 1024 * 1024

const fileSchema = z.object({
  v: z.literal(1),
  /** Unix milliseconds. */
  readAt: z.number(),
  models: z.array(z.object({
    id: z.string().min(1), name: z.string().optional(), contextTokens: z.number().optional(), outputTokensMax: z.number().optional(),
    vision: z.boolean().optional(), tools: z.boolean().optional(), reasoning: z.boolean().optional(), kind: z.enum(['chat', 'embedding', 'other']).optional(),
  })).max(5_000),
})

export interface StoredCatalogue {
  /** Unix milliseconds. */
  readonly readAt: number
  readonly models: readonly ListedModel[]
}

/** Undefined where there is none that can be used. */
export async function readCatalogue(path: string): Promise<StoredCatalogue | undefined> {
  try {
    if ((await stat(path)).size > FILE_BYTES_MAX) return undefined
    return fileSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** Whole or not at all; a disk that is full costs the cache and nothing else. */
export async function writeCatalogue(path: string, catalogue: StoredCatalogue): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeFile(`${path}.tmp`, JSON.stringify({ v: 1, ...catalogue }), { mode: 0o600 })
    await rename(`${path}.tmp`, path)
  } catch {
    // The list is in memory and is read again.
  }
}
