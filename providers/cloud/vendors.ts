/**
 * The vendors that TriForce knows by name. Facts: the vendors' API references and shared research of 2026-11 (docs/clouds.md
 * has them as a table with sources). What is not known to be refused is sent, and the vendor's own words come back.
 */
import { ADAPTIVE } from './anthropic-request.ts'
import { openAiQuirks, type OpenAiQuirks, type Vendor } from './vendor.ts'

type VendorRecord = Omit<Partial<Vendor>, 'openai'> & Pick<Vendor, 'id' | 'name' | 'baseUrl' | 'billsAborted' | 'retention'> & { readonly openai?: Partial<OpenAiQuirks> }

function vendor(record: VendorRecord): Vendor {
  const prefix = record.id.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
  return {
    family: 'openai', keyEnv: [`${prefix}_API_KEY`], baseUrlEnv: `${prefix}_BASE_URL`, headers: {}, refuses: [], reasoningModels: undefined,
    notHere: undefined, fallbackModels: [], ...record, openai: { ...openAiQuirks, ...record.openai },
  }
}

/** Models of OpenAI that think, and take no sampling settings. gpt-5.1 and later take them where they are told not to think. */
const OPENAI_THINKS = /^(o\d|gpt-[5-9]|codex-)(?!.*chat)/
const OPENAI_FIXED_SAMPLING = /^(o\d|gpt-5(-(mini|nano|pro|codex|20\d\d).*)?$)/
/** Grok models that think; the penalties and stop strings are errors there (docs.x.ai/docs/guides/reasoning). */
const XAI_THINKS = /^grok-(?!.*non-reasoning)(3-mini|[4-9]|code)/
const XAI_NO_EFFORT = /^grok-(?!3-mini|4\.3|4\.20-multi-agent)/

export const vendors: readonly Vendor[] = [
  vendor({
    id: 'openai', name: 'OpenAI', baseUrl: 'https://api.openai.com/v1', billsAborted: false, retention: { trains: false, days: 30 },
    reasoningModels: OPENAI_THINKS,
    // Answered by the Responses API or the old completions API only.
    notHere: /-pro\b|codex|deep-research|computer-use|instruct$|^(babbage|davinci)/,
    fallbackModels: ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'gpt-4.1-mini', 'gpt-4-turbo', 'gpt-6-sol', 'gpt-5.5', 'gpt-5.4-mini', 'gpt-5', 'gpt-5-mini', 'o3', 'o4-mini', 'text-embedding-3-small', 'text-embedding-3-large'],
    refuses: [
      { settings: ['topK', 'continueLast'] },
      { models: OPENAI_FIXED_SAMPLING, settings: ['temperature', 'topP', 'frequencyPenalty', 'presencePenalty', 'logprobs', 'stop'] },
      { models: /^(?!o\d|gpt-[5-9]|codex-)/, settings: ['reasoning'] },
    ],
    openai: { tokensField: 'max_completion_tokens', embeddings: 'base64' },
  }),
  vendor({
    id: 'anthropic', name: 'Anthropic', family: 'anthropic', baseUrl: 'https://api.anthropic.com', billsAborted: false, retention: { trains: false, days: 30 },
    reasoningModels: /^claude-(3-7|[a-z]+-([4-9]|preview))/,
    fallbackModels: ['claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5', 'claude-opus-5', 'claude-sonnet-5', 'claude-opus-4-8', 'claude-sonnet-4-6', 'claude-haiku-4-5-20251001'],
    refuses: [
      { settings: ['seed', 'logprobs', 'frequencyPenalty', 'presencePenalty'] },
      { models: /^claude-(2|3-[05h-s]|3-5|instant)/, settings: ['reasoning'] },
      // Claude 4.6 and later refuse an assistant message at the end.
      { models: ADAPTIVE, settings: ['continueLast'] },
    ],
  }),
  vendor({
    id: 'gemini', name: 'Google Gemini', baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai', keyEnv: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    billsAborted: true, retention: { trains: true, days: 55 },
    reasoningModels: /^gemini-(2\.5|[3-9])/,
    fallbackModels: ['gemini-2.5-flash', 'gemini-2.5-pro', 'gemini-2.5-flash-lite', 'gemini-2.0-flash', 'gemini-embedding-001'],
    refuses: [{ settings: ['topK', 'logprobs', 'continueLast', 'parallelToolCalls'] }],
    openai: { reasoningOutsideCompletion: true, reasoning: 'budget', thoughtSignatures: true, embeddings: 'float' },
  }),
  vendor({
    id: 'groq', name: 'Groq', baseUrl: 'https://api.groq.com/openai/v1', billsAborted: true, retention: { trains: false, days: 0 },
    reasoningModels: /qwen3|qwq|deepseek-r1|gpt-oss/,
    fallbackModels: ['llama-3.3-70b-versatile', 'llama-3.1-8b-instant', 'openai/gpt-oss-120b', 'openai/gpt-oss-20b'],
    refuses: [{ settings: ['topK', 'logprobs'] }, { models: /^(?!.*(qwen3|gpt-oss))/, settings: ['reasoning'] }],
    openai: { tokensField: 'max_completion_tokens', usage: 'always', extras: [{ models: /qwen3|qwq|deepseek-r1/, fields: { reasoning_format: 'parsed' } }] },
  }),
  vendor({
    id: 'cerebras', name: 'Cerebras', baseUrl: 'https://api.cerebras.ai/v1', billsAborted: false, retention: { trains: false, days: 0 },
    reasoningModels: /gpt-oss|thinking|qwen-3-32b|zai-glm/,
    fallbackModels: ['llama3.1-8b', 'gpt-oss-120b'],
    refuses: [{ settings: ['topK', 'frequencyPenalty', 'presencePenalty', 'continueLast'] }, { models: /^(?!gpt-oss|zai-glm)/, settings: ['reasoning'] }],
    openai: { tokensField: 'max_completion_tokens' },
  }),
  vendor({
    id: 'mistral', name: 'Mistral', baseUrl: 'https://api.mistral.ai/v1', billsAborted: true, retention: { trains: false, days: 30 },
    reasoningModels: /^magistral/,
    fallbackModels: ['mistral-small-latest', 'mistral-medium-latest', 'mistral-large-latest', 'codestral-latest', 'magistral-medium-latest', 'mistral-embed'],
    refuses: [{ settings: ['topK', 'logprobs', 'reasoning'] }],
    openai: { usage: 'always', seedField: 'random_seed', requiredToolWord: 'any', toolIdChars: 9, continues: 'prefix', embeddings: 'float' },
  }),
  vendor({
    id: 'together', name: 'Together AI', baseUrl: 'https://api.together.ai/v1', billsAborted: false, retention: { trains: false, days: undefined },
    fallbackModels: ['meta-llama/Llama-3.3-70B-Instruct-Turbo', 'deepseek-ai/DeepSeek-V3'],
    refuses: [{ settings: ['logprobs'] }],
    openai: { usage: 'always', statuses: { 403: 'context' }, embeddings: 'float' },
  }),
  vendor({
    id: 'openrouter', name: 'OpenRouter', baseUrl: 'https://openrouter.ai/api/v1', billsAborted: false, retention: { trains: true, days: undefined },
    headers: { 'x-title': 'TriForce' },
    fallbackModels: ['openrouter/auto'],
    // Its list of models leaves its embedding models out.
    openai: { usage: 'always', reasoning: 'object' },
  }),
  vendor({
    id: 'deepseek', name: 'DeepSeek', baseUrl: 'https://api.deepseek.com', billsAborted: false, retention: { trains: true, days: undefined },
    reasoningModels: /reasoner|v4/,
    fallbackModels: ['deepseek-chat', 'deepseek-reasoner'],
    refuses: [{ settings: ['topK', 'seed', 'jsonSchema', 'continueLast', 'parallelToolCalls'] }, { models: /reasoner/, settings: ['logprobs'] }],
    openai: { reasoning: 'switch', returnsReasoning: true },
  }),
  vendor({
    id: 'xai', name: 'xAI', baseUrl: 'https://api.x.ai/v1', billsAborted: false, retention: { trains: false, days: 30 },
    reasoningModels: XAI_THINKS,
    fallbackModels: ['grok-4', 'grok-4-fast-reasoning', 'grok-4-fast-non-reasoning', 'grok-3', 'grok-3-mini'],
    refuses: [
      { settings: ['topK', 'continueLast'] },
      { models: XAI_THINKS, settings: ['frequencyPenalty', 'presencePenalty', 'stop'] },
      { models: XAI_NO_EFFORT, settings: ['reasoning'] },
    ],
    openai: { tokensField: 'max_completion_tokens', reasoningOutsideCompletion: true },
  }),
]

export function vendorNamed(id: string): Vendor | undefined {
  return vendors.find((one) => one.id === id)
}

/** An endpoint of the OpenAI or the Anthropic family that an admin adds: nothing is known of it, so nothing is held back. */
export function customVendor({ id, family, baseUrl }: Pick<Vendor, 'id' | 'family' | 'baseUrl'>): Vendor {
  return vendor({
    id, name: id, family, baseUrl, billsAborted: false, retention: { trains: true, days: undefined },
    openai: { usage: 'maybe', embeddings: 'float' },
  })
}
