/** The models of an Ollama on this machine: pull with progress, list, remove. Its own API does the work. */
import { z } from 'zod'
import { DownloadError } from './file-transfer.ts'
import { createOllamaHttp, OllamaStatusError, type OllamaHttp } from './ollama-http.ts'

export interface OllamaModelFile {
  readonly name: string
  readonly bytes: number
}

export interface OllamaPullProgress {
  /** In Ollama's words: `pulling manifest`, `verifying sha256 digest`, … */
  readonly state: string
  readonly doneBytes: number
  /** Over the layers that are known so far; it grows while the first ones come. */
  readonly totalBytes: number
}

const frameSchema = z.object({ status: z.string().max(256).default(''), digest: z.string().optional(), total: z.number().optional(), completed: z.number().optional() })
const listSchema = z.object({ models: z.array(z.object({ name: z.string(), size: z.number().default(0) })).nullish() })
const LAYERS_MAX = 256

/** Throws a DownloadError with the way out. */
export async function pullOllamaModel(options: {
  readonly host: string; readonly name: string; readonly onProgress: (progress: OllamaPullProgress) => void; readonly signal: AbortSignal
}): Promise<void> {
  const { host, name, onProgress, signal } = options
  await withOllama(host, async (http) => {
    const layers = new Map<string, { done: number; total: number }>()
    let last = ''
    for await (const raw of await http.client(signal).pull({ model: name, stream: true })) {
      const { status, digest, total, completed } = frameSchema.parse(raw)
      if (digest !== undefined && (layers.has(digest) || layers.size < LAYERS_MAX)) layers.set(digest, { total: total ?? 0, done: completed ?? layers.get(digest)?.done ?? 0 })
      last = status
      let [doneBytes, totalBytes] = [0, 0]
      for (const layer of layers.values()) {
        doneBytes += layer.done
        totalBytes += layer.total
      }
      onProgress({ state: status, doneBytes, totalBytes })
    }
    if (last !== 'success') throw endedEarly()
  }, signal)
}

export async function listOllamaModels(host: string, signal: AbortSignal): Promise<readonly OllamaModelFile[]> {
  return await withOllama(host, async (http) => {
    return (listSchema.parse(await http.client(signal).list()).models ?? []).map(({ name, size }) => ({ name, bytes: size }))
  }, signal)
}

export async function removeOllamaModel(host: string, name: string, signal: AbortSignal): Promise<void> {
  await withOllama(host, async (http) => { await http.client(signal).delete({ model: name }) }, signal)
}

async function withOllama<T>(host: string, run: (http: OllamaHttp) => Promise<T>, signal: AbortSignal): Promise<T> {
  const http = createOllamaHttp(host)
  try {
    return await run(http)
  } catch (reason) {
    if (signal.aborted || reason instanceof DownloadError) throw reason
    // The client's words where a stream just ends: a server that died.
    if (reason instanceof Error && reason.message.startsWith('Did not receive done')) throw endedEarly(reason)
    if (reason instanceof OllamaStatusError) throw new DownloadError(`Ollama says: ${reason.message}`, { cause: reason })
    const isGone = reason instanceof TypeError || (reason as NodeJS.ErrnoException).code === 'ECONNREFUSED'
    throw new DownloadError(isGone
      ? `there is no Ollama at ${http.address}; start it, or get a GGUF file for the built-in engine: triforce models pull hf:owner/repo/file.gguf`
      : `Ollama says: ${reason instanceof Error ? reason.message : 'nothing'}`, { cause: reason })
  } finally {
    await http.close()
  }
}

function endedEarly(cause?: Error): DownloadError {
  return new DownloadError('Ollama ended before the model was complete; the same command goes on from what it has', { cause })
}
