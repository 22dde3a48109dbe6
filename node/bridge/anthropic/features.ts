/** Declaration for the table of features. */
import type { FeatureSupport } from '../../../protocol/features.ts'

export const anthropicFeatures: FeatureSupport = {
  stream: 'yes', tools: 'yes', toolChoice: 'yes', oneToolCall: 'yes', images: 'yes', jsonObject: 'no', jsonSchema: 'yes', reasoning: 'yes', logprobs: 'no',
  seed: 'no', stop: 'yes', topK: 'yes', penalties: 'no', continueLast: 'yes', embeddings: 'no',
}
