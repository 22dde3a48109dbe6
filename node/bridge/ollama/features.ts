/** Declarations for the table of features. */
import type { FeatureSupport } from '../../../protocol/features.ts'

/** Ollama's clients know calls as a whole only: a streamed call is one line. */
export const ollamaChatFeatures: FeatureSupport = {
  stream: 'yes', tools: 'mapped', toolChoice: 'no', oneToolCall: 'no', images: 'yes', jsonObject: 'yes', jsonSchema: 'yes', reasoning: 'yes', logprobs: 'yes',
  seed: 'yes', stop: 'yes', topK: 'yes', penalties: 'yes', continueLast: 'yes', embeddings: 'no',
}

export const ollamaGenerateFeatures: FeatureSupport = { ...ollamaChatFeatures, tools: 'no', continueLast: 'no' }
