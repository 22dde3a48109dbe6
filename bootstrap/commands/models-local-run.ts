/** What `triforce models pull | list | rm` do; loaded when one of them is asked for. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DownloadError } from '../../providers/file-transfer.ts'
import { downloadModel, modelFileBytes, sha256OfFile } from '../../providers/model-download.ts'
import { parseModelSource } from '../../providers/model-source.ts'
import { listOllamaModels, pullOllamaModel, removeOllamaModel } from '../../providers/ollama-models.ts'
import { modelIdOf } from '../../providers/embedded/model-file.ts'
import { CommandError, usageError } from '../command-error.ts'
import { configDefaults } from '../config.ts'
import { listModelFolder, removeFromFolder, withModelLock } from '../model-folder.ts'
import { parseOllamaHost } from '../option-parsers.ts'
import { createStopRequest } from '../signals.ts'
import { formatTable } from '../table.ts'
import type { Terminal } from '../terminal.ts'
import { createTransferBar, sizeText } from '../transfer-bar.ts'
import { printJson, type CommandContext } from './context.ts'

export interface LocalFlags {
  readonly to: string
  readonly ollama?: string
  readonly json?: boolean
}

export interface PullFlags extends LocalFlags {
  readonly sha256?: string
}

const LIST_MS_MAX = 5_000
const REMOVE_MS_MAX = 30_000

export async function runPull(text: string, flags: PullFlags, context: CommandContext): Promise<void> {
  let source: ReturnType<typeof parseModelSource>
  try {
    source = parseModelSource(text, { huggingFace: context.env['HF_ENDPOINT'] })
  } catch (cause) {
    throw usageError(`"${text}" ${(cause as RangeError).message}`, cause)
  }
  const stop = createStopRequest({ deadlineMs: LIST_MS_MAX })
  const aborted = new AbortController()
  void stop.requested.then(() => aborted.abort(new CommandError('stopped; the same command goes on from here')))
  try {
    await told(async () => {
      if (source.type === 'ollama') await pullFromOllama(source.name, flags, context, aborted.signal)
      else await pullFile(source, flags, context, aborted.signal)
    })
  } finally {
    stop.dispose()
  }
}

async function pullFile({ url, fileName }: { readonly url: string; readonly fileName: string }, flags: PullFlags, context: CommandContext, signal: AbortSignal): Promise<void> {
  const { terminal, env } = context
  const path = join(flags.to, fileName)
  await mkdir(flags.to, { recursive: true })
  await withModelLock(path, async () => {
    const present = await modelFileBytes(path)
    if (present !== undefined) {
      await mustHave(path, flags.sha256, signal)
      return done(terminal, flags, { model: modelIdOf(fileName), path, bytes: present, known: true }, `${path} is here already (${sizeText(present)})`)
    }
    const bar = createTransferBar(terminal)
    try {
      const { bytes, sha256, resumedBytes, checked } = await downloadModel({
        url, path, signal, sha256: flags.sha256, token: env['HF_TOKEN'] || undefined,
        onProgress: ({ state, ...amount }) => bar.show({ what: state === 'checking' ? 'checking what is here' : fileName, ...amount }),
      })
      bar.stop()
      const resumed = resumedBytes > 0 ? `, ${sizeText(resumedBytes)} of it were here` : ''
      done(terminal, flags, { model: modelIdOf(fileName), path, bytes, sha256, checked, known: false }, `${path} (${sizeText(bytes)}${resumed}), ${checkedText[checked]}: ${sha256}`)
    } finally {
      bar.stop()
    }
  })
}

const checkedText = {
  given: 'its SHA-256 is the one you gave', source: 'its SHA-256 is the one the source gives', nothing: 'nobody gave a SHA-256 to compare with; this is the one it has',
} as const

async function mustHave(path: string, sha256: string | undefined, signal: AbortSignal): Promise<void> {
  if (sha256 === undefined) return
  const found = await sha256OfFile(path, signal)
  if (found !== sha256) throw new CommandError(`${path} is here already, and its SHA-256 is ${found}, not the one you gave; remove it with "triforce models rm", then pull again`)
}

async function pullFromOllama(name: string, flags: PullFlags, { terminal, env }: CommandContext, signal: AbortSignal): Promise<void> {
  if (flags.sha256 !== undefined) throw usageError('--sha256 is for files; Ollama checks its own')
  const host = ollamaOf(flags, env)
  if (host === undefined) throw usageError(`"${name}" is a name of Ollama's library, and Ollama is switched off`)
  const bar = createTransferBar(terminal)
  try {
    await pullOllamaModel({
      host, name, signal,
      onProgress: ({ state, ...amount }) => bar.show({ what: /^pulling [0-9a-f]{12}/.test(state) ? name : state, ...amount }),
    })
  } finally {
    bar.stop()
  }
  done(terminal, flags, { model: name, ollama: host, known: false }, `Ollama has ${name}`)
}

function done(terminal: Terminal, flags: LocalFlags, data: object, sentence: string): void {
  if (flags.json === true) return printJson(terminal, data)
  terminal.note(sentence)
  terminal.note('lend it: start the contributor again, or "triforce start --mode contributor" if none runs')
}

export async function runList(flags: LocalFlags, { terminal, env }: CommandContext): Promise<void> {
  const files = await listModelFolder(flags.to)
  const host = ollamaOf(flags, env)
  const inOllama = host === undefined ? [] : await listOllamaModels(host, AbortSignal.timeout(LIST_MS_MAX)).catch(() => undefined)
  if (flags.json === true) {
    return printJson(terminal, { files, ollama: inOllama ?? null })
  }
  const rows = [
    ...files.map(({ id, bytes, complete, path }) => [id, sizeText(bytes), complete ? 'file' : 'in part', path]),
    ...(inOllama ?? []).map(({ name, bytes }) => [name, sizeText(bytes), 'Ollama', host ?? '']),
  ]
  if (rows.length === 0) terminal.note(`no model is on this machine; get one with: triforce models pull hf:owner/repo/file.gguf${inOllama === undefined ? '' : ' or triforce models pull llama3.2:3b'}`)
  else for (const line of formatTable([{ title: 'MODEL' }, { title: 'SIZE', align: 'right' }, { title: 'KIND' }, { title: 'WHERE', shrink: true }], rows)) terminal.print(line)
  if (inOllama === undefined) terminal.note(`no Ollama at ${host ?? ''}`)
}

export async function runRemove(name: string, flags: LocalFlags, { terminal, env }: CommandContext): Promise<void> {
  const wanted = name.replace(/\.gguf$/i, '')
  const file = (await listModelFolder(flags.to)).find(({ id }) => id === wanted)
  if (file !== undefined) {
    await removeFromFolder(file)
    if (flags.json === true) return printJson(terminal, { removed: file.path, bytes: file.bytes })
    return terminal.note(`removed ${file.path} (${sizeText(file.bytes)})`)
  }
  const host = ollamaOf(flags, env)
  if (host === undefined) throw new CommandError(`no model is called "${name}" in ${flags.to}; "triforce models list" shows what is there`)
  await told(async () => removeOllamaModel(host, name, AbortSignal.timeout(REMOVE_MS_MAX)))
  if (flags.json === true) return printJson(terminal, { removed: name, ollama: host })
  terminal.note(`removed ${name} from Ollama`)
}

function ollamaOf(flags: LocalFlags, env: NodeJS.ProcessEnv): string | undefined {
  const given = flags.ollama ?? (env['TRIFORCE_OLLAMA'] || env['OLLAMA_HOST'])
  if (given === undefined || given === '') return configDefaults.ollamaHost
  try {
    const host = parseOllamaHost(given)
    return host === 'off' ? undefined : host.url
  } catch (cause) {
    throw usageError(`--ollama ${(cause as Error).message}`, cause)
  }
}

/** What a download says is meant for people as it stands. */
async function told(run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    throw error instanceof DownloadError ? new CommandError(error.message, { cause: error.cause }) : error
  }
}
