/** What a client puts together from a stream is what it gets in one body, in each dialect that has blocks or whole calls. */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { createAnthropicWriter } from '../../../../node/bridge/anthropic/answer.ts'
import { createAnswerCollector } from '../../../../node/bridge/collected-answer.ts'
import type { AnswerEnd, AnswerWriter } from '../../../../node/bridge/dialect.ts'
import { createOllamaWriter } from '../../../../node/bridge/ollama/answer.ts'
import type { AnswerDelta } from '../../../../protocol/completion.ts'
import { testServed } from '../../../support/bridge-gateway.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { SEED } from '../../../support/seed.ts'

const end: AnswerEnd = { finish: 'toolCalls', usage: { promptTokens: 7, completionTokens: 3 }, served: testServed }

/** Calls are not mixed; everything else comes in any order. */
const deltas = fc.array(fc.oneof(
  fc.record({ type: fc.constant('text' as const), text: fc.string({ minLength: 1 }), tokens: fc.constant(1) }),
  fc.record({ type: fc.constant('reasoning' as const), text: fc.string({ minLength: 1 }), tokens: fc.constant(1), signature: fc.option(fc.string(), { nil: undefined }) }),
  fc.record({ type: fc.constant('call' as const), json: fc.object(), cut: fc.nat() }),
), { maxLength: 8 }).map((parts): AnswerDelta[] => {
  let calls = 0
  return parts.flatMap((part): AnswerDelta[] => {
    if (part.type === 'reasoning') return [{ type: 'reasoning', text: part.text, tokens: 1, ...(part.signature === undefined ? {} : { signature: part.signature }) }]
    if (part.type !== 'call') return [part]
    const json = JSON.stringify(part.json)
    const cut = part.cut % json.length
    calls += 1
    return [
      { type: 'toolCall', index: calls - 1, id: `call_${calls}`, name: `tool${calls}`, arguments: json.slice(0, cut), tokens: 1 },
      { type: 'toolCall', index: calls - 1, arguments: json.slice(cut), tokens: 1 },
    ]
  })
})

function streamOf(writer: AnswerWriter, pieces: readonly AnswerDelta[]): string {
  return writer.begin() + pieces.map((piece) => writer.delta(piece)).join('') + writer.end(end)
}

function bodyOf(writer: AnswerWriter, pieces: readonly AnswerDelta[]): Record<string, unknown> {
  const collector = createAnswerCollector({ charsMax: 1_000_000 })
  for (const piece of pieces) collector.add(piece)
  return JSON.parse(writer.body(collector.answer, end)) as Record<string, unknown>
}

describe('node/bridge: a stream and a body', () => {
  const seed = SEED
  before(() => console.log(`      seed ${seed}`))

  it('say the same in Anthropic\'s dialect, and no event names a block that is not open', () => {
    const writer = () => createAnthropicWriter({ requestId: 'r', model: 'm', thinkingShown: true })
    fc.assert(fc.property(deltas, (pieces) => {
      const blocks: { block: Record<string, string>; json: string; open: boolean }[] = []
      for (const text of streamOf(writer(), pieces).split('\n\n').filter((line) => line !== '')) {
        const event = JSON.parse(text.slice(text.indexOf('\ndata: ') + 7)) as { type: string; index: number; content_block: Record<string, string>; delta: Record<string, string> }
        expect(text.startsWith(`event: ${event.type}\n`)).to.equal(true)
        const block = blocks[event.index]
        if (event.type === 'content_block_start') {
          expect(event.index).to.equal(blocks.length)
          expect(blocks.every(({ open }) => !open)).to.equal(true)
          blocks.push({ block: { ...event.content_block }, json: '', open: true })
        } else if (event.type === 'content_block_stop') block!.open = false
        else if (event.type === 'content_block_delta') {
          expect(block!.open).to.equal(true)
          for (const [field, value] of Object.entries(event.delta)) {
            if (field === 'partial_json') block!.json += value
            else if (field !== 'type') block!.block[field] += value
          }
        }
      }
      const content = bodyOf(writer(), pieces)['content'] as Record<string, unknown>[]
      const texts = (kind: string, field: string) => content.filter(({ type }) => type === kind).map((one) => one[field]).join('')
      const streamed = (kind: string, field: string) => blocks.filter(({ block }) => block['type'] === kind).map(({ block }) => block[field]).join('')
      for (const [kind, field] of [['text', 'text'], ['thinking', 'thinking'], ['thinking', 'signature']] as const) expect(streamed(kind, field)).to.equal(texts(kind, field))
      expect(blocks.filter(({ block }) => block['type'] === 'tool_use').map(({ block, json }) => ({ ...block, input: JSON.parse(json) as unknown })))
        .to.deep.equal(content.filter(({ type }) => type === 'tool_use'))
    }), { seed, numRuns: 200 })
  })

  it('say the same in Ollama\'s dialect', () => {
    const writer = () => createOllamaWriter({ kind: 'chat', model: 'm', clock: fakeClock() })
    fc.assert(fc.property(deltas, (pieces) => {
      const lines = streamOf(writer(), pieces).trimEnd().split('\n').map((line) => JSON.parse(line) as { done: boolean; message: { content: string; thinking?: string; tool_calls?: unknown[] } })
      const { message } = bodyOf(writer(), pieces) as unknown as (typeof lines)[number]
      expect(lines.map((line) => line.message.content).join('')).to.equal(message.content)
      expect(lines.map((line) => line.message.thinking ?? '').join('')).to.equal(message.thinking ?? '')
      expect(lines.flatMap((line) => line.message.tool_calls ?? [])).to.deep.equal(message.tool_calls ?? [])
      expect(lines.map(({ done }) => done)).to.deep.equal([...Array.from({ length: lines.length - 1 }, () => false), true])
    }), { seed, numRuns: 200 })
  })
})
