/**
 * What became of requests, on the node's disk: two files of one JSON line each record. The newer one grows by appending, a batch at
 * a time; when it is full it takes the place of the older one. A crash loses the batch that waits, and a line that does not
 * read is left out.
 */
import { appendFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { generationsDefaults, type GenerationStore, type KeptGeneration } from '../node/bridge/generations.ts'
import type { Clock, Log } from '../protocol/ports.ts'
import { errorCode, makePrivateDir, PRIVATE_FILE_MODE, readTextFile } from './private-file.ts'

export interface GenerationFile extends GenerationStore {
  /** Writes what waits. */
  close(): Promise<void>
}

export interface GenerationFileOptions {
  readonly dir: string
  /** Lines of one file. Default as many as the node remembers. */
  readonly linesMax?: number
  /** A record waits so long for others. Default 1,000 ms. */
  readonly batchMs?: number
}

const keptSchema = z.object({ id: z.string().max(64), account: z.string().regex(/^[0-9a-f]{32}$/), body: z.record(z.string(), z.unknown()) })

/** Never throws: a node serves without its memory of old requests. */
export async function openGenerationFile({ clock, log }: { readonly clock: Clock; readonly log: Log }, options: GenerationFileOptions): Promise<GenerationFile> {
  const { dir, linesMax = generationsDefaults.recordsMax, batchMs = 1_000 } = options
  const [newer, older] = [join(dir, 'generations.jsonl'), join(dir, 'generations.old.jsonl')]
  const waiting: (() => KeptGeneration)[] = []
  let cancelTimer: (() => void) | undefined
  let writing = Promise.resolve()
  const newerLines = await linesOf(newer)
  let lines = newerLines.length
  const loaded = [...await linesOf(older), ...newerLines].flatMap(read)

  /** None where there is no file, or one that cannot be read. */
  async function linesOf(path: string): Promise<string[]> {
    try {
      return (await readTextFile(path) ?? '').split('\n').filter((line) => line !== '')
    } catch (error) {
      failed(error)
      return []
    }
  }

  function failed(error: unknown): void {
    log.warn('what became of requests cannot be kept on the disk', { code: errorCode(error) ?? 'unknown' })
  }

  async function append(batch: readonly (() => KeptGeneration)[]): Promise<void> {
    if (lines >= linesMax) {
      await rename(newer, older)
      lines = 0
    }
    await makePrivateDir(dir)
    await appendFile(newer, batch.map((kept) => `${JSON.stringify(kept())}\n`).join(''), { mode: PRIVATE_FILE_MODE })
    lines += batch.length
  }

  function flush(): void {
    cancelTimer?.()
    cancelTimer = undefined
    const batch = waiting.splice(0)
    if (batch.length > 0) writing = writing.then(() => append(batch)).catch(failed)
  }

  return {
    loaded,
    keep(kept) {
      waiting.push(kept)
      // Where the disk is slower than the requests, the oldest go, as they would soon.
      if (waiting.length > linesMax) waiting.shift()
      cancelTimer ??= clock.after(batchMs, flush)
    },
    async close() {
      flush()
      await writing
    },
  }
}

function read(line: string): KeptGeneration[] {
  try {
    return [keptSchema.parse(JSON.parse(line))]
  } catch {
    return []
  }
}
