/**
 * Brings a GGUF file onto this machine: goes on where it broke off, checks size, SHA-256 and form, and only then gives the
 * file its name. What is half there is called `NAME.part`, with what is known of its source in `NAME.part.json`.
 */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat, statfs, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Agent } from 'undici'
import { z } from 'zod'
import { readGguf } from './embedded/gguf.ts'
import { createTransferAgent, DownloadError, openTransfer, type Transfer } from './file-transfer.ts'

export interface ModelDownloadOptions {
  readonly url: string
  /** Where the file is to be. Nobody else may download to it at the same time: the caller holds a lock. */
  readonly path: string
  /** Lower-case hexadecimal; what the source itself gives counts where this is not given. */
  readonly sha256?: string | undefined
  /** For the host of `url` only. */
  readonly token?: string | undefined
  readonly onProgress?: (progress: DownloadProgress) => void
  readonly signal: AbortSignal
  /** Tries in a row in which nothing came. Default 6: about a minute. */
  readonly triesMax?: number
  /** Pause before the second try; doubled with each. Default 1,000 ms. */
  readonly pauseMs?: number
  /** Default 30,000 ms. */
  readonly stallMsMax?: number
  /** Free bytes of a folder's disk. */
  readonly diskFree?: (folder: string) => Promise<number>
}

export interface DownloadProgress {
  readonly state: 'checking' | 'loading'
  readonly doneBytes: number
  /** Undefined where the source does not tell. */
  readonly totalBytes: number | undefined
}

export interface DownloadResult {
  readonly bytes: number
  readonly sha256: string
  /** Bytes that were here before. */
  readonly resumedBytes: number
  /** What the checksum was compared with. */
  readonly checked: 'given' | 'source' | 'nothing'
}

export const modelDownloadDefaults = Object.freeze({ triesMax: 6, pauseMs: 1_000, stallMsMax: 30_000 })

/** What a system and its logs need besides the model. */
export const DISK_SPARE_BYTES = 512 * 1024 * 1024
/** No model comes near; a server that sends without end stops here. */
const FILE_BYTES_MAX = 4 * 1024 ** 4
const PAUSE_MS_MAX = 30_000

const partSchema = z.object({ v: z.literal(1), url: z.string(), tag: z.string(), totalBytes: z.number().int().min(0) })

/** Throws a DownloadError, or the reason of `signal`. What was loaded stays for the next try, except where it proved wrong. */
export async function downloadModel(options: ModelDownloadOptions): Promise<DownloadResult> {
  const { stallMsMax } = { ...modelDownloadDefaults, ...options }
  await mkdir(dirname(options.path), { recursive: true })
  const agent = createTransferAgent(stallMsMax)
  const part = await openPart(options)
  try {
    const loaded = await loadWhole(part, agent, options)
    await part.file.sync()
    await part.file.close()
    await check(part, loaded, options)
    await rename(part.path, options.path)
    await rm(part.infoPath, { force: true })
    const checked = options.sha256 !== undefined ? 'given' : loaded.sha256 !== undefined ? 'source' : 'nothing'
    return { bytes: part.bytes, sha256: part.hash.digest('hex'), resumedBytes: part.resumedBytes, checked }
  } finally {
    await part.file.close().catch(() => undefined)
    await agent.destroy()
  }
}

interface Part {
  readonly path: string
  readonly infoPath: string
  readonly file: FileHandle
  readonly resumedBytes: number
  /** Over the first `bytes` bytes of the file. */
  hash: Hash
  bytes: number
  tag: string | undefined
}

/** What is here of the file, if it is of the same source and that can tell whether it has changed. */
async function openPart({ path, url, onProgress, signal }: ModelDownloadOptions): Promise<Part> {
  const [partPath, infoPath] = [`${path}.part`, `${path}.part.json`]
  const info = await readInfo(infoPath)
  const file = await open(partPath, 'a+', 0o644)
  const hash = createHash('sha256')
  // One byte less than all, so that the source is asked in any case: whether it has still the same file, and its checksum.
  const found = info?.url === url ? Math.min((await file.stat()).size, info.totalBytes - 1) : 0
  await file.truncate(Math.max(0, found))
  let bytes = 0
  if (found > 0) {
    for await (const chunk of createReadStream(partPath, { highWaterMark: 1024 * 1024, signal })) {
      hash.update(chunk as Uint8Array)
      bytes += (chunk as Uint8Array).byteLength
      onProgress?.({ state: 'checking', doneBytes: bytes, totalBytes: found })
    }
  }
  return { path: partPath, infoPath, file, hash, bytes, resumedBytes: bytes, tag: bytes > 0 ? info?.tag : undefined }
}

async function readInfo(path: string): Promise<z.output<typeof partSchema> | undefined> {
  try {
    return partSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** Asks again from where it broke off, until all is there. */
async function loadWhole(part: Part, agent: Agent, options: ModelDownloadOptions): Promise<Pick<Transfer, 'totalBytes' | 'sha256'>> {
  const { triesMax, pauseMs } = { ...modelDownloadDefaults, ...options }
  const { url, token, signal } = options
  let tries = 0
  for (;;) {
    const before = part.bytes
    try {
      const transfer = await openTransfer({ url, token, signal, agent, fromByte: part.bytes, tag: part.tag })
      await take(part, transfer, options)
      return transfer
    } catch (reason) {
      if (signal.aborted) throw reason
      const error = reason instanceof DownloadError ? reason : new DownloadError('the connection broke off', { cause: reason, again: true })
      if (!error.again) throw error
      if (error.startOver) await startOver(part)
      tries = part.bytes > before ? 0 : tries + 1
      if (tries >= triesMax) throw new DownloadError(`${error.message}; what is here stays, so the same command goes on from it`, { cause: error })
      await pause(Math.min(PAUSE_MS_MAX, pauseMs * 2 ** tries), signal)
    }
  }
}

async function take(part: Part, transfer: Transfer, options: ModelDownloadOptions): Promise<void> {
  const { onProgress, path, diskFree = freeBytes } = options
  const { body, totalBytes, tag, fromByte } = transfer
  // A server without tags cannot say whether its file is still the same.
  if (fromByte !== part.bytes || (part.bytes > 0 && tag !== part.tag)) {
    await startOver(part)
    if (fromByte > 0) throw new DownloadError('the file at the source has changed', { again: true })
  }
  if ((totalBytes ?? 0) > FILE_BYTES_MAX) throw new DownloadError('the server says that the file is larger than any model')
  const free = await diskFree(dirname(path))
  if (totalBytes !== undefined && totalBytes - part.bytes + DISK_SPARE_BYTES > free) {
    throw new DownloadError(`the disk has too little room: ${gib(totalBytes - part.bytes)} are to come, ${gib(free)} are free, and ${gib(DISK_SPARE_BYTES)} should stay; make some, or name another folder with --to`)
  }
  part.tag = tag
  if (tag !== undefined && totalBytes !== undefined) await writeFile(part.infoPath, JSON.stringify({ v: 1, url: options.url, tag, totalBytes }))
  for await (const chunk of body) {
    if (part.bytes + chunk.byteLength > (totalBytes ?? FILE_BYTES_MAX)) {
      await startOver(part)
      throw new DownloadError('the server sends more than it said the file has; nothing of it is kept')
    }
    await part.file.appendFile(chunk)
    part.hash.update(chunk)
    part.bytes += chunk.byteLength
    onProgress?.({ state: 'loading', doneBytes: part.bytes, totalBytes })
  }
  if (totalBytes !== undefined && part.bytes < totalBytes) throw new DownloadError('the connection broke off', { again: true })
}

async function startOver(part: Part): Promise<void> {
  await part.file.truncate(0)
  part.hash = createHash('sha256')
  part.bytes = 0
  part.tag = undefined
  await rm(part.infoPath, { force: true })
}

/** Takes away what is not what was wanted: it would be taken for the beginning of it. */
async function check(part: Part, { sha256: ofSource }: Pick<Transfer, 'sha256'>, { sha256 }: ModelDownloadOptions): Promise<void> {
  const expected = sha256 ?? ofSource
  const found = part.hash.copy().digest('hex')
  try {
    if (expected !== undefined && found !== expected) {
      throw new DownloadError(`the file is not the one that was expected: its SHA-256 is ${found}, and ${sha256 === undefined ? 'the source says' : '--sha256 says'} ${expected}; it was removed`)
    }
    await readGguf(part.path)
  } catch (reason) {
    await rm(part.path, { force: true })
    await rm(part.infoPath, { force: true })
    if (reason instanceof DownloadError) throw reason
    throw new DownloadError(`the file is no model: ${reason instanceof Error ? reason.message : 'it cannot be read'}; it was removed`, { cause: reason })
  }
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

function gib(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GB`
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  const onAbort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  await promise.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  })
}

/** SHA-256 of a file that is here already. */
export async function sha256OfFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

/** Bytes of a model file; undefined where there is none. */
export async function modelFileBytes(path: string): Promise<number | undefined> {
  return await stat(path).then(({ size }) => size, () => undefined)
}
