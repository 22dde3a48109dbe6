/**
 * A model file as the federation sees it: id from the file name, digest of its bytes, facts from its header.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { MODEL_ID_CHARS_MAX } from '../../protocol/limits.ts'
import { GgufError, readGguf } from './gguf.ts'

export interface ModelFile {
  readonly path: string
  /** File name, for people. */
  readonly name: string
  readonly id: string
  readonly digest: string
  readonly quantization: string
  readonly contextTokens: number
  readonly parameters: number
  readonly demo: boolean
}

/** Digests of large files, so that a start does not read 40 GB again. */
export interface DigestCache {
  digestOf(path: string): Promise<string>
}

// Below, hashing takes less than 100 ms and is not worth a cache entry.
const CACHED_BYTES_MIN = 64 * 1024 * 1024
const CACHE_ENTRIES_MAX = 256

/** Throws a GgufError that says what is wrong with the file. */
export async function readModelFile(path: string, digests: DigestCache): Promise<ModelFile> {
  const name = basename(path)
  try {
    const summary = await readGguf(path)
    if (summary.parts > 1) throw new GgufError('it is one part of a split model; join the parts with `llama-gguf-split --merge`')
    if (summary.embedding) throw new GgufError('it is an embedding model, which cannot chat')
    const { quantization, contextTokens, parameters } = summary
    const digest = await digests.digestOf(path)
    return { path, name, id: modelIdOf(name), digest, quantization, contextTokens, parameters, demo: summary.name.startsWith('TriForce demo') }
  } catch (error) {
    if (error instanceof GgufError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new GgufError(code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code ?? 'unknown error'})`, { cause: error })
  }
}

/** `My Model.Q4_K_M.gguf` is offered as `My-Model.Q4_K_M`. */
export function modelIdOf(fileName: string): string {
  return fileName.replace(/\.gguf$/i, '').replaceAll(/[^!-~]+/g, '-').slice(0, MODEL_ID_CHARS_MAX) || 'model'
}

const cacheSchema = z.record(z.string(), z.object({ size: z.number(), mtimeMs: z.number(), digest: z.string() }))
type CacheEntries = z.output<typeof cacheSchema>

/** Keeps digests in `digests.json` in `folder`; without a folder nothing is kept. */
export function createDigestCache(folder: string | undefined, cachedBytesMin = CACHED_BYTES_MIN): DigestCache {
  const file = folder === undefined ? undefined : join(folder, 'digests.json')
  let entries: CacheEntries | undefined

  return {
    async digestOf(path) {
      const { size, mtimeMs } = await stat(path)
      if (size < cachedBytesMin || file === undefined) return await sha256Of(path)
      entries ??= await readEntries(file)
      const known = entries[path]
      if (known !== undefined && known.size === size && known.mtimeMs === mtimeMs) return known.digest
      const digest = await sha256Of(path)
      const kept = Object.entries(entries).filter(([other]) => other !== path).slice(1 - CACHE_ENTRIES_MAX)
      entries = Object.fromEntries([...kept, [path, { size, mtimeMs, digest }]])
      await writeEntries(file, entries)
      return digest
    },
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

/** A cache that cannot be read is empty. */
async function readEntries(file: string): Promise<CacheEntries> {
  try {
    return cacheSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch {
    return {}
  }
}

/** Whole or not at all, also where two nodes on one machine do it at once. A full disk costs the cache, and not the model. */
async function writeEntries(file: string, entries: CacheEntries): Promise<void> {
  const temporary = `${file}.${randomUUID()}.new`
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(temporary, JSON.stringify(entries))
    await rename(temporary, file)
  } catch {
    // The file is read again at the next start.
    await rm(temporary, { force: true }).catch(() => {})
  }
}
