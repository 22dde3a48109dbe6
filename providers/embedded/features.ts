/** Declaration for the table of features. */
import type { FeatureSupport } from '../../protocol/features.ts'

/** What a GGUF file with the engine that comes along can be asked. */
export const embeddedFeatures: FeatureSupport = {
  stream: 'yes', tools: 'no', toolChoice: 'no', oneToolCall: 'no', images: 'no', jsonObject: 'yes', jsonSchema: 'yes', reasoning: 'no', logprobs: 'no',
  seed: 'yes', stop: 'yes', topK: 'yes', penalties: 'yes', continueLast: 'yes', embeddings: 'no',
}
