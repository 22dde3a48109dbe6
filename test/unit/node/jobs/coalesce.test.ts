import { expect } from 'chai'
import * as fc from 'fast-check'
import type { ProviderEvent } from '../../../../providers/interface.ts'
import { coalesce } from '../../../../node/jobs/coalesce.ts'
import { CHUNK_BYTES_TARGET, CHUNK_WAIT_MS_MAX } from '../../../../protocol/limits.ts'
import { codeOf, watched } from '../../../support/code-of.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { TriforceError } from '../../../../protocol/errors.ts'

const text = (value: string, tokens: number): ProviderEvent => ({ type: 'text', text: value, tokens })
const end: ProviderEvent = { type: 'end', finish: 'stop', usage: { promptTokens: 0, completionTokens: 0 } }

/** A source to which events are given one by one; counts how many were taken. */
function handSource() {
  const given: ProviderEvent[] = []
  const seen = { asked: 0, returned: false }
  let wake = () => {}
  const over: { failure?: Error; done?: true } = {}
  const source: AsyncIterable<ProviderEvent> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        seen.asked += 1
        while (given.length === 0 && over.failure === undefined && over.done === undefined) await new Promise<void>((resolve) => { wake = resolve })
        if (given.length > 0) return { done: false, value: given.shift()! }
        if (over.failure !== undefined) throw over.failure
        return { done: true, value: undefined }
      },
      return() {
        seen.returned = true
        return Promise.resolve({ done: true, value: undefined })
      },
    }),
  }
  const poke = () => wake()
  return {
    source, seen,
    give: (...events: ProviderEvent[]) => { given.push(...events); poke() },
    fail: (error: Error) => { over.failure = error; poke() },
    finish: () => { over.done = true; poke() },
  }
}

describe('node/jobs/coalesce', () => {
  it('sends the first text at once', async () => {
    const { source, give } = handSource()
    const output = coalesce(fakeClock())(source)
    const first = watched(output.next())
    give(text('Hi', 1))
    await settled()
    expect(first.value?.value).to.deep.equal(text('Hi', 1))
  })

  it('collects later text for CHUNK_WAIT_MS_MAX, not one millisecond less', async () => {
    const clock = fakeClock()
    const { source, give } = handSource()
    const output = coalesce(clock)(source)
    give(text('a', 1))
    await output.next()
    const second = watched(output.next())
    give(text('b', 2), text('c', 3))
    await settled()
    clock.advance(CHUNK_WAIT_MS_MAX - 1)
    await settled()
    expect(second.state).to.equal('pending')
    clock.advance(1)
    await settled()
    expect(second.value?.value).to.deep.equal(text('bc', 3))
  })

  it('does not wait where CHUNK_BYTES_TARGET has come together', async () => {
    const { source, give } = handSource()
    const output = coalesce(fakeClock())(source)
    give(text('a', 1))
    await output.next()
    const second = watched(output.next())
    give(text('x'.repeat(CHUNK_BYTES_TARGET - 1), 2))
    await settled()
    expect(second.state).to.equal('pending')
    give(text('y', 3))
    await settled()
    expect(second.value?.value).to.include({ type: 'text', tokens: 3 }).and.have.property('text').with.length(CHUNK_BYTES_TARGET)
  })

  it('reads at most one target ahead of a consumer that does not read', async () => {
    const { source, give, seen } = handSource()
    const output = coalesce(fakeClock())(source)
    give(...Array.from({ length: 100 }, (_, n) => text('z'.repeat(100), n + 1)))
    await output.next()
    await output.next()
    await settled()
    // One for the first text, then a target full of pieces of 100, and one that is on its way.
    expect(seen.asked).to.be.at.most(Math.ceil(CHUNK_BYTES_TARGET / 100) + 2)
  })

  it('passes everything on in order, whatever the sizes', async () => {
    const piece = fc.oneof(fc.string({ maxLength: 30 }), fc.constant('state'), fc.string({ minLength: 900, maxLength: 2_000, size: 'max' }))
    await fc.assert(fc.asyncProperty(fc.array(piece, { maxLength: 40 }), async (pieces) => {
      const clock = fakeClock()
      const events = pieces.map((one, n): ProviderEvent => one === 'state' ? { type: 'state', state: { state: 'running' } } : text(one, n + 1))
      async function* source() {
        yield* events
        yield end
      }
      const seen: ProviderEvent[] = []
      const reading = (async () => {
        for await (const event of coalesce(clock)(source())) seen.push(event)
      })()
      while ((await Promise.race([reading.then(() => 'done'), new Promise((resolve) => setImmediate(() => resolve('more')))])) === 'more') clock.advance(CHUNK_WAIT_MS_MAX)
      const textsOf = (list: readonly ProviderEvent[]) => list.map((event) => event.type === 'text' ? event.text : '').join('')
      expect(textsOf(seen)).to.equal(textsOf(events))
      expect(seen.filter((event) => event.type === 'state')).to.have.length(events.filter((event) => event.type === 'state').length)
      expect(seen.at(-1)).to.equal(end)
      const tokens = seen.flatMap((event) => event.type === 'text' ? [event.tokens] : [])
      expect(tokens).to.deep.equal([...tokens].sort((a, b) => a - b))
    }), { numRuns: 50 })
  })

  it('sends text before a change of state and before the end', async () => {
    async function* source(): AsyncGenerator<ProviderEvent> {
      yield text('a', 1)
      yield text('b', 2)
      yield { type: 'state', state: { state: 'running' } }
      yield text('c', 3)
      yield end
    }
    const seen: string[] = []
    for await (const event of coalesce(fakeClock())(source())) seen.push(event.type === 'text' ? event.text : event.type)
    expect(seen).to.deep.equal(['a', 'b', 'state', 'c', 'end'])
  })

  it('passes an error on, after the text that came before it', async () => {
    const { source, give, fail } = handSource()
    const output = coalesce(fakeClock())(source)
    give(text('a', 1))
    await output.next()
    give(text('b', 2))
    const second = output.next()
    await settled()
    fail(new TriforceError('ENGINE_FAILED'))
    expect((await second).value).to.deep.equal(text('b', 2))
    expect(await codeOf(output.next())).to.equal('ENGINE_FAILED')
  })

  it('gives the source back when the consumer stops', async () => {
    const { source, give, seen } = handSource()
    const output = coalesce(fakeClock())(source)
    give(text('a', 1))
    await output.next()
    await output.return(undefined)
    expect(seen.returned).to.equal(true)
  })
})
