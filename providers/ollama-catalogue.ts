/**
 * What an Ollama server offers: /api/tags for the list, /api/show once for each digest, /api/ps for what is loaded,
 * /api/version for what it can do with all of them.
 * Answers of a foreign program: each is checked, and a model that does not fit is left out alone.
 */
import { z } from 'zod'
import { modelIdField } from '../protocol/fields.ts'
import { CAPACITY_MODELS_MAX } from '../protocol/limits.ts'
import type { ModelCapability, OfferedModel } from '../protocol/messages/capacity.ts'
import type { OllamaHttp } from './ollama-http.ts'

export interface OllamaModel {
  readonly id: string
  readonly digest: string
  readonly quantization: string
  readonly contextTokens: number
  readonly parameters: number
  readonly capabilities: readonly ModelCapability[]
  /** `think` takes `low`, `medium` and `high`, and not only true and false. */
  readonly thinksInLevels: boolean
}

export interface OllamaCatalogue {
  /** Reads anew; rejects where there is no Ollama. */
  read(signal: AbortSignal): Promise<{ readonly models: readonly OllamaModel[]; readonly loaded: ReadonlySet<string> }>
}

// More could not be announced.
const MODELS_MAX = CAPACITY_MODELS_MAX
// A catalogue of a large disk; beyond it Ollama's newest come first anyway.
const TAGS_MAX = 256

const tagSchema = z.object({
  name: modelIdField,
  digest: z.string().transform((text) => text.replace(/^sha256:/, '')).pipe(z.string().regex(/^[0-9a-f]{64}$/)),
  details: z.object({ parameter_size: z.string().optional(), quantization_level: z.string().optional() }).optional(),
  remote_host: z.string().optional(),
  remote_model: z.string().optional(),
})
type Tag = z.output<typeof tagSchema>

const showSchema = z.object({
  model_info: z.record(z.string(), z.unknown()).optional(),
  capabilities: z.array(z.string()).optional(),
  details: z.object({ family: z.string().optional() }).optional(),
  remote_host: z.string().optional(),
})
type Show = z.output<typeof showSchema>

const listSchema = z.object({ models: z.array(z.unknown()).nullish() })
const psSchema = z.object({ name: z.string() })
const versionSchema = z.object({ version: z.string() })

/** The first version of Ollama that gives log probabilities. */
const LOGPROBS_SINCE = [0, 12, 11] as const

export function createOllamaCatalogue(http: OllamaHttp, options: { readonly contextTokensMax: number }): OllamaCatalogue {
  /** By name and digest; null: not for us. Holds only what the last list named. */
  let known = new Map<string, OllamaModel | null>()

  return {
    async read(signal) {
      const client = http.client(signal)
      const hasLogprobs = isAtLeast(versionSchema.safeParse(await client.version()).data?.version ?? '', LOGPROBS_SINCE)
      const tags = (listSchema.parse(await client.list()).models ?? []).slice(0, TAGS_MAX)
      const next = new Map<string, OllamaModel | null>()
      const models: OllamaModel[] = []
      for (const raw of tags) {
        const tag = tagSchema.safeParse(raw).data
        if (tag === undefined || isRemote(tag) || models.length >= MODELS_MAX) continue
        const key = `${tag.name} ${tag.digest} ${hasLogprobs}`
        const model = known.has(key) ? known.get(key) ?? null : modelOf(tag, showSchema.parse(await client.show({ model: tag.name })), options.contextTokensMax, hasLogprobs)
        next.set(key, model)
        if (model !== null) models.push(model)
      }
      known = next
      const running = listSchema.parse(await client.ps()).models ?? []
      return { models, loaded: new Set(running.flatMap((raw) => psSchema.safeParse(raw).data?.name ?? [])) }
    },
  }
}

export function offeredOf(model: OllamaModel, loaded: boolean, tokensPerSecond: number): OfferedModel {
  const { thinksInLevels: _, ...offered } = model
  return { ...offered, capabilities: [...model.capabilities], tokensPerSecond: Number(tokensPerSecond.toPrecision(3)), loaded, demo: false }
}

/** Models that Ollama itself rents from a cloud are not this machine's to lend. */
function isRemote(tag: Tag): boolean {
  return tag.remote_host !== undefined || tag.remote_model !== undefined || /[:-]cloud$/.test(tag.name)
}

function modelOf(tag: Tag, show: Show, contextTokensMax: number, hasLogprobs: boolean): OllamaModel | null {
  if (show.remote_host !== undefined) return null
  const info = show.model_info ?? {}
  const named = info['general.architecture']
  const architecture = typeof named === 'string' ? named : ''
  const capabilities = capabilitiesOf(show, architecture, hasLogprobs)
  if (capabilities.length === 0) return null
  const trained = numberOf(info[`${architecture}.context_length`])
  return {
    id: tag.name,
    digest: tag.digest,
    quantization: (tag.details?.quantization_level ?? '').slice(0, 32),
    contextTokens: trained === 0 ? contextTokensMax : Math.min(trained, contextTokensMax),
    parameters: numberOf(info['general.parameter_count']) || parametersOf(tag.details?.parameter_size),
    capabilities,
    thinksInLevels: architecture === 'gptoss',
  }
}

/** Empty for a model that neither chats nor makes embeddings. */
function capabilitiesOf({ capabilities: told, details }: Show, architecture: string, hasLogprobs: boolean): ModelCapability[] {
  // Before 0.6.4 Ollama named no capabilities; what was an embedding model then is of the BERT family.
  const named = told ?? [/bert/i.test(`${architecture} ${details?.family ?? ''}`) ? 'embedding' : 'completion']
  const embeds: ModelCapability[] = named.includes('embedding') ? ['embedding'] : []
  if (!named.includes('completion')) return embeds
  return [
    'chat', 'json',
    ...(named.includes('tools') ? ['tools' as const] : []),
    ...(named.includes('vision') ? ['vision' as const] : []),
    // A thinking model starts to think again behind a prefill, so it cannot go on with an answer.
    named.includes('thinking') ? 'reasoning' : 'continue',
    ...(hasLogprobs ? ['logprobs' as const] : []),
    ...embeds,
  ]
}

/** `0.12.11-rc1` is not older than 0.12.11 here: what counts is there. */
function isAtLeast(version: string, least: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number)
  const differs = least.findIndex((part, index) => parts[index] !== part)
  return differs < 0 || (parts[differs] ?? 0) > least[differs]!
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0
}

/** `8.0B`, `361.82M` */
function parametersOf(size: string | undefined): number {
  const [, digits, unit = ''] = /^([\d.]+)\s*([KMBT])?$/i.exec(size ?? '') ?? []
  const factors: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, B: 1e9, T: 1e12 }
  return digits === undefined ? 0 : Math.round(Number(digits) * (factors[unit.toUpperCase()] ?? 1)) || 0
}
