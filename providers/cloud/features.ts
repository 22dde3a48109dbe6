/** What the models of a vendor can be asked, from the same record by which requests are written and refused. */
import type { FeatureSupport, Support } from '../../protocol/features.ts'
import { supports } from './refusals.ts'
import type { Setting, Vendor } from './vendor.ts'

const words = { 'yes': 'yes', 'some models': 'model', 'no': 'no' } as const satisfies Record<ReturnType<typeof supports>, Support>

export function featuresOfVendor(vendor: Vendor): FeatureSupport {
  const of = (setting: Setting): Support => words[supports(vendor, setting)]
  const isAnthropic = vendor.family === 'anthropic'
  return {
    stream: 'yes',
    tools: 'model',
    toolChoice: 'model',
    oneToolCall: of('parallelToolCalls') === 'no' ? 'no' : 'model',
    images: 'model',
    // Anthropic itself has no such mode: the answer comes as the input of a tool.
    jsonObject: isAnthropic ? 'mapped' : of('jsonObject'),
    jsonSchema: isAnthropic ? 'mapped' : of('jsonSchema'),
    reasoning: of('reasoning') === 'no' ? 'no' : 'model',
    logprobs: of('logprobs'),
    seed: of('seed'),
    stop: of('stop'),
    topK: of('topK'),
    penalties: weaker(of('frequencyPenalty'), of('presencePenalty')),
    continueLast: of('continueLast'),
    embeddings: isAnthropic || vendor.openai.embeddings === undefined ? 'no' : 'model',
  }
}

function weaker(one: Support, other: Support): Support {
  return one === 'yes' ? other : one === 'no' || other === 'no' ? 'no' : one
}
