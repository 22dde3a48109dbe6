/** Declarations for the table of features. */
import type { FeatureSupport } from '../../../protocol/features.ts'

export const openaiChatFeatures: FeatureSupport = {
  stream: 'yes', tools: 'yes', toolChoice: 'yes', oneToolCall: 'yes', images: 'yes', jsonObject: 'yes', jsonSchema: 'yes', reasoning: 'yes', logprobs: 'yes',
  seed: 'yes', stop: 'yes', topK: 'yes', penalties: 'yes', continueLast: 'yes', embeddings: 'no',
}

export const openaiCompletionsFeatures: FeatureSupport = {
  stream: 'yes', tools: 'no', toolChoice: 'no', oneToolCall: 'no', images: 'no', jsonObject: 'no', jsonSchema: 'no', reasoning: 'no', logprobs: 'yes',
  seed: 'yes', stop: 'yes', topK: 'no', penalties: 'yes', continueLast: 'no', embeddings: 'no',
}

export const openaiResponsesFeatures: FeatureSupport = {
  stream: 'yes', tools: 'yes', toolChoice: 'yes', oneToolCall: 'yes', images: 'yes', jsonObject: 'yes', jsonSchema: 'yes', reasoning: 'yes', logprobs: 'yes',
  seed: 'no', stop: 'yes', topK: 'no', penalties: 'no', continueLast: 'no', embeddings: 'no',
}
