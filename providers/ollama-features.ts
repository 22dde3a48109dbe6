/** Declaration for the table of features. */
import type { FeatureSupport } from '../protocol/features.ts'

/** What a model of Ollama can be asked. A call is forced by the schema of its arguments, and of several calls only the first is given out. */
export const ollamaFeatures: FeatureSupport = {
  stream: 'yes', tools: 'model', toolChoice: 'mapped', oneToolCall: 'mapped', images: 'model', jsonObject: 'yes', jsonSchema: 'yes', reasoning: 'model', logprobs: 'model',
  seed: 'yes', stop: 'yes', topK: 'yes', penalties: 'yes', continueLast: 'model', embeddings: 'model',
}
