import { expect } from 'chai'
import { BENCH_SOURCE_MODEL, benchToken, createBenchSource } from '../../../providers/bench-source.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'
import { chatRequest, codeOf, collect } from '../../support/provider-world.ts'

describe('providers/bench-source', () => {
  const ask = (content: string) => chatRequest(BENCH_SOURCE_MODEL, { messages: [{ role: 'user', content }] })
  const words = (from: number, to: number): string => Array.from({ length: to - from }, (_, index) => benchToken(from + index)).join('')

  it('gives as many numbered words as the message asks for, in batches', async () => {
    const { text, events, end } = await collect(createBenchSource({ clock: fakeClock() }), ask('tokens=4000 batch=500'))
    expect(text).to.equal(words(0, 4_000))
    expect(events.filter((event) => event.type === 'text')).to.have.length(8)
    expect(end).to.deep.equal({ type: 'end', finish: 'stop', usage: { promptTokens: 6, completionTokens: 4_000 } })
  })

  it('goes on where a prefill ends, so that the whole has no gap', async () => {
    const request = ask('tokens=10')
    const rest = { ...request, messages: [...request.messages, { role: 'assistant' as const, content: words(0, 4) }], continueLast: true }
    const { text, end } = await collect(createBenchSource({ clock: fakeClock() }), rest)
    expect(text).to.equal(words(4, 10))
    expect(end.usage.completionTokens).to.equal(6)
  })

  it('ends at maxTokens with `length`', async () => {
    const { end } = await collect(createBenchSource({ clock: fakeClock() }), { ...ask('tokens=100'), maxTokens: 10 })
    expect(end).to.include({ finish: 'length' })
    expect(end.usage.completionTokens).to.equal(10)
  })

  it('waits the gap before each event, and not after it was cancelled', async () => {
    const clock = fakeClock()
    const controller = new AbortController()
    const iterator = createBenchSource({ clock }).run(ask('tokens=3 batch=1 gapMs=100'), { signal: controller.signal })[Symbol.asyncIterator]()
    await iterator.next()
    let got = false
    const first = iterator.next().then((result) => {
      got = true
      return result.value
    })
    await settled()
    clock.advance(99)
    await settled()
    expect(got).to.equal(false)
    clock.advance(1)
    expect(await first).to.deep.equal({ type: 'text', text: 't0 ', tokens: 1 })
    const next = iterator.next()
    controller.abort()
    expect((await next).value).to.deep.include({ type: 'end', finish: 'cancelled', usage: { promptTokens: 7, completionTokens: 1 } })
  })

  it('writes no JSON', async () => {
    expect(await codeOf(collect(createBenchSource({ clock: fakeClock() }), { ...ask('x'), responseFormat: { type: 'json_object' } }))).to.equal('CAPABILITY_MISSING')
  })
})
