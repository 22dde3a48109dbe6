/**
 * What is known of well-known models beyond what their vendors' lists tell. From the vendors' model pages and SDKs as of 2026-11;
 * a vendor's own list goes before it (docs/clouds.md#catalogues). First row that matches counts; ids are lower case,
 * without the maker before the last slash.
 */
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import type { CloudModel } from '../interface.ts'
import { isRefused } from './refusals.ts'
import type { Vendor } from './vendor.ts'
import type { ListedModel } from './wire.ts'

interface ModelFacts {
  readonly models: RegExp
  readonly contextTokens: number
  /** 0: not known. */
  readonly outputTokensMax: number
  readonly vision?: true
  readonly reasoning?: true
  readonly tools?: false
}

const facts: readonly ModelFacts[] = [
  { models: /^(chatgpt-4o|gpt-4o)/, contextTokens: 128_000, outputTokensMax: 16_384, vision: true },
  { models: /^gpt-4\.1/, contextTokens: 1_047_576, outputTokensMax: 32_768, vision: true },
  { models: /^gpt-4-turbo/, contextTokens: 128_000, outputTokensMax: 4_096, vision: true },
  { models: /^gpt-4-32k/, contextTokens: 32_768, outputTokensMax: 4_096 },
  { models: /^gpt-4/, contextTokens: 8_192, outputTokensMax: 8_192 },
  { models: /^gpt-3\.5-turbo/, contextTokens: 16_385, outputTokensMax: 4_096 },
  { models: /^gpt-5.*chat/, contextTokens: 128_000, outputTokensMax: 16_384, vision: true },
  { models: /^gpt-[5-9]/, contextTokens: 400_000, outputTokensMax: 128_000, vision: true, reasoning: true },
  { models: /^o1-mini/, contextTokens: 128_000, outputTokensMax: 65_536, reasoning: true, tools: false },
  { models: /^o3-mini/, contextTokens: 200_000, outputTokensMax: 100_000, reasoning: true },
  { models: /^o\d/, contextTokens: 200_000, outputTokensMax: 100_000, vision: true, reasoning: true },
  { models: /^gpt-oss/, contextTokens: 131_072, outputTokensMax: 65_536, reasoning: true },
  { models: /^text-embedding/, contextTokens: 8_191, outputTokensMax: 0 },
  { models: /^claude-3-(opus|haiku|sonnet)/, contextTokens: 200_000, outputTokensMax: 4_096, vision: true },
  { models: /^claude-3[-.]5/, contextTokens: 200_000, outputTokensMax: 8_192, vision: true },
  { models: /^claude-opus-4-?[01]?(-2|$)/, contextTokens: 200_000, outputTokensMax: 32_000, vision: true, reasoning: true },
  { models: /^claude-(3[-.]7|[a-z]+-([4-9]|preview))/, contextTokens: 200_000, outputTokensMax: 64_000, vision: true, reasoning: true },
  { models: /^claude/, contextTokens: 200_000, outputTokensMax: 4_096, vision: true },
  { models: /^gemini-embedding/, contextTokens: 2_048, outputTokensMax: 0 },
  { models: /^gemini-(2\.5|[3-9]|flash|pro)/, contextTokens: 1_048_576, outputTokensMax: 65_536, vision: true, reasoning: true },
  { models: /^gemini/, contextTokens: 1_048_576, outputTokensMax: 8_192, vision: true },
  { models: /^gemma-3/, contextTokens: 131_072, outputTokensMax: 8_192 },
  { models: /^(pixtral|mistral-(small|medium|large)-(latest|2[5-9]))/, contextTokens: 131_072, outputTokensMax: 0, vision: true },
  { models: /^magistral/, contextTokens: 40_960, outputTokensMax: 40_960, reasoning: true },
  { models: /^(mistral-embed|codestral-embed)/, contextTokens: 8_192, outputTokensMax: 0 },
  { models: /^codestral/, contextTokens: 262_144, outputTokensMax: 0 },
  { models: /^deepseek-reasoner/, contextTokens: 131_072, outputTokensMax: 65_536, reasoning: true },
  { models: /^deepseek-(chat|v3)/, contextTokens: 131_072, outputTokensMax: 8_192 },
  { models: /^deepseek-r1/, contextTokens: 131_072, outputTokensMax: 32_768, reasoning: true },
  { models: /^grok-4.*fast/, contextTokens: 2_000_000, outputTokensMax: 0, vision: true, reasoning: true },
  { models: /^grok-[4-9]/, contextTokens: 256_000, outputTokensMax: 0, vision: true, reasoning: true },
  { models: /^grok-code/, contextTokens: 256_000, outputTokensMax: 0, reasoning: true },
  { models: /^grok-3-mini/, contextTokens: 131_072, outputTokensMax: 0, reasoning: true },
  { models: /^grok-2-vision/, contextTokens: 32_768, outputTokensMax: 0, vision: true },
  { models: /^grok/, contextTokens: 131_072, outputTokensMax: 0 },
  { models: /^llama-?4/, contextTokens: 131_072, outputTokensMax: 8_192, vision: true },
  { models: /^(meta-)?llama-?3.*vision/, contextTokens: 131_072, outputTokensMax: 8_192, vision: true },
  { models: /^(meta-)?llama-?3/, contextTokens: 131_072, outputTokensMax: 32_768 },
  { models: /^qwen.*-vl/, contextTokens: 131_072, outputTokensMax: 0, vision: true },
  { models: /^(qwq|qwen-?3.*thinking)/, contextTokens: 131_072, outputTokensMax: 0, reasoning: true },
]

/** Where neither the vendor nor the table tells; the vendor refuses what is too long, and its refusal is passed on. */
const CONTEXT_TOKENS_DEFAULT = 128_000

const EMBEDDING = /embed|^bge-|^e5-|^gte-|^m2-bert/
const NO_TEXT = /whisper|tts|dall-e|gpt-image|moderation|realtime|audio|transcri|sora|imagen|veo|aqa|guard|rerank|-ocr|voxtral|flux|stable-diffusion|-image|lyria|speech|live/

/** A listed model with all that is known of it; undefined for what is no chat and no embedding model. */
export function cloudModelOf(vendor: Vendor, listed: ListedModel): CloudModel | undefined {
  const name = listed.id.slice(listed.id.lastIndexOf('/') + 1).toLowerCase()
  const kind = listed.kind ?? (EMBEDDING.test(name) ? 'embedding' : NO_TEXT.test(name) ? 'other' : 'chat')
  if (kind === 'other' || vendor.notHere?.test(listed.id) === true) return undefined
  if (kind === 'embedding' && vendor.openai.embeddings === undefined) return undefined
  const known = facts.find(({ models }) => models.test(name))
  return {
    id: `${vendor.id}/${listed.id}`,
    name: listed.name ?? listed.id,
    contextTokens: listed.contextTokens ?? known?.contextTokens ?? CONTEXT_TOKENS_DEFAULT,
    outputTokensMax: listed.outputTokensMax ?? known?.outputTokensMax ?? 0,
    capabilities: kind === 'embedding' ? ['embedding'] : chatCapabilities(vendor, listed, known),
  }
}

function chatCapabilities(vendor: Vendor, listed: ListedModel, known: ModelFacts | undefined): ModelCapability[] {
  const has: Partial<Record<ModelCapability, boolean>> = {
    chat: true,
    json: !isRefused(vendor, listed.id, 'jsonObject') || !isRefused(vendor, listed.id, 'jsonSchema'),
    tools: listed.tools ?? known?.tools ?? true,
    vision: listed.vision ?? known?.vision ?? /vision|-vl\b/.test(listed.id),
    reasoning: listed.reasoning ?? known?.reasoning ?? vendor.reasoningModels?.test(listed.id) ?? false,
    continue: !isRefused(vendor, listed.id, 'continueLast'),
    logprobs: !isRefused(vendor, listed.id, 'logprobs'),
  }
  return (Object.keys(has) as ModelCapability[]).filter((capability) => has[capability] === true)
}
