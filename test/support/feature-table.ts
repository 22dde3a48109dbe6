/** The table of docs/bridge.md: dialect × engine or vendor × feature, from the declarations of each. */
import { anthropicFeatures } from '../../node/bridge/anthropic/features.ts'
import { ollamaChatFeatures, ollamaGenerateFeatures } from '../../node/bridge/ollama/features.ts'
import { openaiChatFeatures, openaiCompletionsFeatures, openaiResponsesFeatures } from '../../node/bridge/openai/features.ts'
import { features, type Feature, type FeatureSupport, type Support } from '../../protocol/features.ts'
import { featuresOfVendor } from '../../providers/cloud/features.ts'
import { vendors } from '../../providers/cloud/vendors.ts'
import { embeddedFeatures } from '../../providers/embedded/features.ts'
import { ollamaFeatures } from '../../providers/ollama-features.ts'

export const dialectFeatures: Readonly<Record<string, FeatureSupport>> = {
  'OpenAI chat completions': openaiChatFeatures, 'OpenAI completions': openaiCompletionsFeatures, 'OpenAI responses': openaiResponsesFeatures,
  'Anthropic messages': anthropicFeatures, 'Ollama chat': ollamaChatFeatures, 'Ollama generate': ollamaGenerateFeatures,
}

const engines: Readonly<Record<string, FeatureSupport>> = {
  'GGUF file (llama.cpp)': embeddedFeatures, 'Ollama': ollamaFeatures, ...Object.fromEntries(vendors.map((vendor) => [vendor.name, featuresOfVendor(vendor)])),
}

const headings: Readonly<Record<Exclude<Feature, 'embeddings'>, string>> = {
  stream: 'stream', tools: 'tools', toolChoice: 'tool choice', oneToolCall: 'one call', images: 'images', jsonObject: 'JSON', jsonSchema: 'JSON schema', reasoning: 'reasoning',
  logprobs: 'logprobs', seed: 'seed', stop: 'stop', topK: 'top_k', penalties: 'penalties', continueLast: 'go on',
}
const shown = features.filter((feature) => feature !== 'embeddings')

/** Markdown between the two marks of docs/bridge.md. */
export function featureTable(): string {
  const tables = Object.entries(dialectFeatures).map(([dialect, said]) => table([`${dialect} at`, ...shown.map((feature) => headings[feature])],
    Object.entries(engines).map(([engine, done]) => [engine, ...shown.map((feature) => cellOf(said[feature], done[feature]))])))
  const embeddings = table(['Embeddings (OpenAI and Ollama) at', 'embeddings'], Object.entries(engines).map(([engine, done]) => [engine, cellOf('yes', done.embeddings)]))
  return [...tables, embeddings].join('\n')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  return line(head) + `|${head.map(() => '---').join('|')}|\n` + rows.map(line).join('')
}

export function cellOf(said: Support, done: Support): string {
  if (said === 'no' || done === 'no') return 'no'
  return `${said === 'mapped' || done === 'mapped' ? 'mapped' : 'yes'}${said === 'model' || done === 'model' ? '°' : ''}`
}

const BEGIN = '<!-- features: made by `npm run features` -->\n'
const END = '<!-- /features -->'

/** The page with the table of today in it. */
export function withFeatureTable(page: string): string {
  const [before, rest] = page.split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error('the page has no marks for the table of features')
  return `${before}${BEGIN}${featureTable()}${END}${after}`
}
