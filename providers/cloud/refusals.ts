/** Settings that a vendor or a model of it would refuse or silently drop: told before anything is sent. */
import type { CompletionRequest } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Setting, Vendor } from './vendor.ts'

/** What the request asks for beyond the vendors' defaults, and its name in an OpenAI body. */
const asked: Readonly<Record<Setting, { readonly param: string; readonly is: (request: CompletionRequest) => boolean }>> = {
  temperature: { param: 'temperature', is: ({ temperature }) => temperature !== undefined && temperature !== 1 },
  topP: { param: 'top_p', is: ({ topP }) => topP !== undefined && topP !== 1 },
  topK: { param: 'top_k', is: ({ topK }) => topK !== undefined },
  frequencyPenalty: { param: 'frequency_penalty', is: ({ frequencyPenalty = 0 }) => frequencyPenalty !== 0 },
  presencePenalty: { param: 'presence_penalty', is: ({ presencePenalty = 0 }) => presencePenalty !== 0 },
  seed: { param: 'seed', is: ({ seed }) => seed !== undefined },
  stop: { param: 'stop', is: ({ stop }) => stop.length > 0 },
  logprobs: { param: 'logprobs', is: ({ logprobs }) => logprobs !== undefined },
  parallelToolCalls: { param: 'parallel_tool_calls', is: ({ parallelToolCalls }) => parallelToolCalls === false },
  // "Do not think" is what a model without reasoning does.
  reasoning: { param: 'reasoning_effort', is: ({ reasoning }) => reasoning?.tokensMax !== undefined || (reasoning?.effort ?? 'none') !== 'none' },
  jsonObject: { param: 'response_format', is: ({ responseFormat }) => responseFormat.type === 'json_object' },
  jsonSchema: { param: 'response_format', is: ({ responseFormat }) => responseFormat.type === 'json_schema' },
  continueLast: { param: 'messages', is: ({ continueLast }) => continueLast },
}

/** Throws CAPABILITY_MISSING that names the setting. */
export function checkSettings(request: CompletionRequest, vendor: Vendor, model: string): void {
  for (const { models, settings } of vendor.refuses) {
    if (models !== undefined && !models.test(model)) continue
    const setting = settings.find((one) => asked[one].is(request))
    if (setting === undefined) continue
    const { param } = asked[setting]
    const what = setting === 'continueLast' ? 'going on from the end of an assistant message' : `"${param}"${setting === 'jsonSchema' ? ' with a JSON schema' : ''}`
    throw new TriforceError('CAPABILITY_MISSING', { vendor: vendor.id, param }, { detail: `${model} of ${vendor.name} does not support ${what}; leave it out or ask another model` })
  }
}

/** True where this model of the vendor does not take the setting. */
export function isRefused(vendor: Vendor, model: string, setting: Setting): boolean {
  return vendor.refuses.some(({ models, settings }) => settings.includes(setting) && (models === undefined || models.test(model)))
}

/** Settings that at least some model of the vendor takes; for tables and tests. */
export function supports(vendor: Vendor, setting: Setting): 'yes' | 'some models' | 'no' {
  const refusals = vendor.refuses.filter(({ settings }) => settings.includes(setting))
  if (refusals.length === 0) return 'yes'
  return refusals.some(({ models }) => models === undefined) ? 'no' : 'some models'
}
