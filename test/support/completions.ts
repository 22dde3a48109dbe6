/** Requests, models and announcements for tests. */
import type { CompletionRequest } from '../../protocol/completion.ts'
import type { Capacity, OfferedModel } from '../../protocol/messages/capacity.ts'

export function aRequest(part: Partial<CompletionRequest> = {}): CompletionRequest {
  return {
    model: 'tiny', messages: [{ role: 'user', content: 'What is TriForce?' }], continueLast: false, stop: [], responseFormat: { type: 'text' }, ...part,
  }
}

export function aModel(part: Partial<OfferedModel> = {}): OfferedModel {
  return {
    id: 'tiny', digest: 'ab'.repeat(32), quantization: 'Q8_0', contextTokens: 4_096, parameters: 1_000_000, capabilities: ['chat', 'json'],
    tokensPerSecond: 0, loaded: true, demo: false, ...part,
  }
}

export function aCapacity(part: Partial<Capacity> & Pick<Capacity, 'peer'>, now: number): Capacity {
  return {
    v: 1, name: 'node', seq: now, mode: 'contributor', gpus: [], slots: { total: 2, busy: 0, queued: 0 }, models: [aModel()], draining: false,
    sentAt: now, validUntil: now + 35_000, ...part,
  }
}
