import { expect } from 'chai'
import { BREAKS_MAX, createContinuation, type EndedPart } from '../../../../node/jobs/continuation.ts'
import type { AnswerDelta, CompletionRequest } from '../../../../protocol/completion.ts'
import { PROMPT_CHARS_MAX } from '../../../../protocol/limits.ts'
import type { RoutingWishes } from '../../../../protocol/routing.ts'
import { aRequest } from '../../../support/completions.ts'

const part = (given: Partial<EndedPart> = {}): EndedPart => ({ host: 'A', hostName: 'a', digest: 'd', promptTokens: 0, settling: Promise.resolve(undefined), ...given })
const text = (piece: string, tokens: number, ids?: number[]): AnswerDelta => ({ type: 'text', text: piece, tokens, ...(ids === undefined ? {} : { ids }) })

function begun(deltas: readonly AnswerDelta[], asked: Partial<CompletionRequest> = {}, wishes?: RoutingWishes) {
  const answer = createContinuation(aRequest(asked), wishes)
  for (const delta of deltas) answer.pass(delta)
  return answer
}

describe('node/jobs/continuation', () => {
  it('changes nothing of an answer that one host gives', () => {
    const answer = createContinuation(aRequest(), undefined)
    const events = [text('Hi', 1), { type: 'finish', finish: 'stop', usage: { promptTokens: 3, completionTokens: 1 } }, { type: 'settled', served: { host: 'A' } }] as const
    for (const event of events) expect(answer.pass(event as AnswerDelta)).to.deep.equal(event)
  })

  it('asks the next host with what the client has, the tokens that are left, and the ids where they are all known', () => {
    const messages = [{ role: 'user' as const, content: 'Q' }]
    const answer = begun([text('Hal', 2, [5, 6]), text('lo', 3, [7])], { messages, maxTokens: 10 })
    answer.broke(part())
    expect(answer.digest).to.equal('d')
    expect(answer.request({ ids: true })).to.deep.include({
      messages: [...messages, { role: 'assistant', content: 'Hallo' }], continueLast: true, maxTokens: 7, begun: { chars: 5, tokens: 3, ids: [5, 6, 7] },
    })
    expect(answer.request({ ids: false }).begun).to.deep.equal({ chars: 5, tokens: 3 })
    const gaps = begun([text('Hal', 2, [5, 6]), text('lo', 4, [7])])
    gaps.broke(part())
    expect(gaps.request({ ids: true }).begun, 'an id is missing').to.deep.equal({ chars: 5, tokens: 4 })
  })

  it('keeps a beginning that the client gave apart from the answer', () => {
    const messages = [{ role: 'user' as const, content: 'Q' }, { role: 'assistant' as const, content: 'Once ' }]
    const answer = begun([text('upon', 1)], { messages, continueLast: true })
    answer.broke(part())
    expect(answer.request({ ids: true }).messages.at(-1)).to.deep.equal({ role: 'assistant', content: 'Once upon' })
    expect(answer.request({ ids: true }).begun).to.deep.include({ chars: 4 })
  })

  it('counts on over the parts: tokens for the client, usage with the prompt once, cost and receipts of all', async () => {
    const answer = begun([text('Hal', 2)])
    answer.broke(part({ settling: Promise.resolve({ receiptId: new Uint8Array([1]), durability: 'local', costMicroCredits: 5n }) }))
    expect(answer.pass(text('lo', 1))).to.deep.include({ tokens: 3 })
    answer.broke(part({ host: 'B', hostName: 'b', promptTokens: 9 }))
    expect(answer.isPromptPaid).to.equal(true)
    expect(answer.pass(text('!', 4))).to.deep.include({ tokens: 7 })
    expect(answer.pass({ type: 'finish', finish: 'stop', usage: { promptTokens: 8, completionTokens: 4 } })).to.deep.equal({ type: 'finish', finish: 'stop', usage: { promptTokens: 9, completionTokens: 7 } })
    await answer.settled()
    const served = { host: 'C', hostName: 'c', hub: 'h', durability: 'replicated' as const, costMicroCredits: 7n, attempts: 3, model: 'tiny' }
    expect(answer.pass({ type: 'settled', served })).to.deep.equal({
      type: 'settled',
      served: {
        ...served, costMicroCredits: 12n, durability: 'local',
        parts: [{ host: 'A', hostName: 'a', completionTokens: 2, receiptId: new Uint8Array([1]) }, { host: 'B', hostName: 'b', completionTokens: 1 }],
      },
    })
  })

  it('gives ids no further where the weights differ', () => {
    const answer = begun([text('a', 1, [1])])
    answer.broke(part())
    answer.pass(text('b', 1, [2]))
    answer.broke(part({ digest: 'other' }))
    expect(answer.digest).to.equal(undefined)
    expect(answer.request({ ids: true }).begun).to.deep.equal({ chars: 2, tokens: 2 })
  })

  it('knows what cannot go on, and why', () => {
    const cases: readonly (readonly [string | undefined, ReturnType<typeof begun>])[] = [
      [undefined, begun([text('a', 1)])],
      [undefined, begun([text('{', 1)], { responseFormat: { type: 'json_object' } })],
      ['not wished', begun([text('a', 1)], {}, { continuation: false })],
      ['tool call', begun([text('a', 1), { type: 'toolCall', index: 0, id: 'x', name: 'f', arguments: '{', tokens: 2 }])],
      ['reasoning', begun([{ type: 'reasoning', text: 'hm', tokens: 1 }, text('a', 2)])],
      ['too long', begun([text('a'.repeat(PROMPT_CHARS_MAX), 1)])],
    ]
    for (const [reason, answer] of cases) {
      answer.broke(part())
      expect(answer.stuck()).to.equal(reason)
    }
    const vectors = createContinuation({ kind: 'embedding', model: 'tiny', inputs: ['a'] }, undefined)
    vectors.pass({ type: 'vectors', dimensions: 1, values: new Uint8Array(4) })
    expect(vectors.stuck()).to.equal('embedding')
  })

  it('gives a request up that broke three hosts', () => {
    const answer = begun([text('a', 1)])
    for (let n = 1; n < BREAKS_MAX; n += 1) {
      answer.broke(part())
      expect(answer.stuck()).to.equal(undefined)
    }
    answer.broke(part())
    expect(answer.stuck()).to.equal('broke too often')
  })

  it('knows when only the last word is missing', () => {
    const answer = begun([text('a b', 2)], { maxTokens: 2 })
    expect(answer.isFull).to.equal(true)
    answer.broke(part({ settling: Promise.resolve(undefined) }))
    expect(answer.servedByLast()).to.deep.equal({ host: 'A', hostName: 'a', durability: 'none', costMicroCredits: 0n })
  })
})
