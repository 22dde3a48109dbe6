/** The list of models of an OpenAI-compatible vendor; each adds fields of its own to OpenAI's `id`. */
import { z } from 'zod'
import type { ListedModel } from './wire.ts'

/** No vendor has a tenth of it; OpenRouter lists about 400. */
const LISTED_MAX = 5_000

const count = z.number().min(0).nullish().catch(undefined)
const words = z.array(z.string()).nullish().catch(undefined)

const modelSchema = z.object({
  id: z.string().min(1),
  name: z.string().nullish().catch(undefined),
  display_name: z.string().nullish().catch(undefined),
  /** Together: chat, language, image, embedding, …; Mistral: base, fine-tuned. */
  type: z.string().nullish().catch(undefined),
  // Context: OpenRouter and Together, Groq, Mistral.
  context_length: count, context_window: count, max_context_length: count,
  // Output: Groq; OpenRouter inside top_provider.
  max_completion_tokens: count,
  top_provider: z.object({ max_completion_tokens: count }).nullish().catch(undefined),
  architecture: z.object({ input_modalities: words, output_modalities: words }).nullish().catch(undefined),
  /** OpenRouter. */
  supported_parameters: words,
  /** Mistral. */
  capabilities: z.object({ completion_chat: z.boolean().optional(), function_calling: z.boolean().optional(), vision: z.boolean().optional() }).nullish().catch(undefined),
  /** Groq and Mistral list what is retired, too. */
  active: z.boolean().nullish().catch(undefined),
  archived: z.boolean().nullish().catch(undefined),
})

/** Together answers with a bare list. */
const listSchema = z.union([z.array(z.unknown()), z.object({ data: z.array(z.unknown()) }).transform(({ data }) => data)])

/** Throws where it is no list of models; single entries without an id are left out. */
export function listedOpenAi(body: unknown): ListedModel[] {
  return listSchema.parse(body).slice(0, LISTED_MAX).flatMap((entry) => {
    const parsed = modelSchema.safeParse(entry)
    if (!parsed.success || parsed.data.active === false || parsed.data.archived === true) return []
    return [listed(parsed.data)]
  })
}

function listed(model: z.output<typeof modelSchema>): ListedModel {
  const { architecture, capabilities, supported_parameters: parameters } = model
  return {
    // Gemini writes `models/gemini-…`.
    id: model.id.replace(/^models\//, ''),
    name: model.name ?? model.display_name ?? undefined,
    contextTokens: positive(model.context_length ?? model.context_window ?? model.max_context_length),
    outputTokensMax: positive(model.max_completion_tokens ?? model.top_provider?.max_completion_tokens),
    vision: architecture?.input_modalities?.includes('image') ?? capabilities?.vision,
    tools: parameters?.includes('tools') ?? capabilities?.function_calling,
    reasoning: parameters?.includes('reasoning'),
    kind: kindOf(model),
  }
}

function kindOf({ type, architecture, capabilities }: z.output<typeof modelSchema>): ListedModel['kind'] {
  if (type === 'embedding') return 'embedding'
  if (type === 'chat' || type === 'language') return 'chat'
  if (type !== undefined && type !== null && ['image', 'audio', 'moderation', 'rerank', 'video', 'transcribe'].includes(type)) return 'other'
  if (architecture?.output_modalities !== undefined && architecture.output_modalities !== null) return architecture.output_modalities.includes('text') ? 'chat' : 'other'
  if (capabilities?.completion_chat !== undefined) return capabilities.completion_chat ? 'chat' : undefined
  return undefined
}

function positive(value: number | null | undefined): number | undefined {
  return value === null || value === undefined || value === 0 ? undefined : value
}
