import { expect } from 'chai'
import type { AnswerDelta } from '../../../protocol/completion.ts'
import { TriforceError } from '../../../protocol/errors.ts'
import { createEventBox } from '../../../providers/event-box.ts'
import type { ProviderEvent } from '../../../providers/interface.ts'
import { settled } from '../../support/fake-clock.ts'

const usage = { promptTokens: 3, completionTokens: 9 }

describe('providers/event-box', () => {
  it('joins text that was not taken and keeps the newest state only', async () => {
    const box = createEventBox()
    box.state({ state: 'queued', position: 2 })
    box.state({ state: 'running' })
    box.delta({ type: 'text', text: 'a', tokens: 1 })
    box.delta({ type: 'text', text: 'b', tokens: 4 })
    box.end('stop', usage)
    expect([await box.next(), await box.next(), await box.next()]).to.deep.equal([
      { type: 'state', state: { state: 'running' } }, { type: 'text', text: 'ab', tokens: 4 }, { type: 'end', finish: 'stop', usage },
    ])
  })

  it('joins what belongs together, and nothing else', async () => {
    const top = [{ token: 'x', logprob: -2 }]
    const puts: readonly AnswerDelta[] = [
      { type: 'reasoning', text: 'h', tokens: 1 }, { type: 'reasoning', text: 'm', tokens: 2, signature: 's1' },
      // A signature has closed the block before, and a cipher is one of its own.
      { type: 'reasoning', text: 'so', tokens: 3 }, { type: 'reasoning', text: 'c1', tokens: 3, redacted: true },
      { type: 'text', text: 'a', tokens: 4, logprobs: [{ token: 'a', logprob: -1, top }] }, { type: 'text', text: 'b', tokens: 5, logprobs: [{ token: 'b', logprob: -3, top: [] }] },
      { type: 'toolCall', index: 0, id: 'c0', name: 'f', arguments: '{', tokens: 6 }, { type: 'toolCall', index: 0, arguments: '}', tokens: 7 },
      { type: 'toolCall', index: 1, id: 'c1', name: 'g', arguments: '', tokens: 8 }, { type: 'text', text: 'c', tokens: 9 },
    ]
    const box = createEventBox()
    for (const delta of puts) box.delta(delta)
    box.end('toolCalls', usage)
    const taken: ProviderEvent[] = []
    while (taken.at(-1)?.type !== 'end') taken.push(await box.next())
    expect(taken).to.deep.equal([
      { type: 'reasoning', text: 'hm', tokens: 2, signature: 's1' },
      { type: 'reasoning', text: 'so', tokens: 3 },
      { type: 'reasoning', text: 'c1', tokens: 3, redacted: true },
      { type: 'text', text: 'ab', tokens: 5, logprobs: [{ token: 'a', logprob: -1, top }, { token: 'b', logprob: -3, top: [] }] },
      { type: 'toolCall', index: 0, id: 'c0', name: 'f', arguments: '{}', tokens: 7 },
      { type: 'toolCall', index: 1, id: 'c1', name: 'g', arguments: '', tokens: 8 },
      { type: 'text', text: 'c', tokens: 9 },
      { type: 'end', finish: 'toolCalls', usage },
    ])
    expect(box.takenTokens).to.equal(9)
  })

  it('tells how much was taken, at the moment it is taken', async () => {
    const taken: number[] = []
    const box = createEventBox({ onTaken: (tokens) => { taken.push(tokens) } })
    box.delta({ type: 'text', text: 'a', tokens: 5 })
    expect(taken).to.deep.equal([])
    await box.next()
    expect(taken).to.deep.equal([5])
  })

  it('lets a waiting consumer have what comes', async () => {
    const box = createEventBox()
    const waiting = box.next()
    box.delta({ type: 'text', text: 'a', tokens: 1 })
    expect(await waiting).to.deep.equal({ type: 'text', text: 'a', tokens: 1 })
  })

  it('cancels with the usage of what was taken, and delivers nothing more', async () => {
    const box = createEventBox()
    box.started(3)
    box.delta({ type: 'text', text: 'a', tokens: 1 })
    await box.next()
    box.delta({ type: 'text', text: 'b', tokens: 2 })
    box.cancel()
    box.delta({ type: 'text', text: 'c', tokens: 3 })
    box.end('stop', usage)
    expect(await box.next()).to.deep.equal({ type: 'end', finish: 'cancelled', usage: { promptTokens: 3, completionTokens: 1 } })
  })

  it('keeps the end of an answer that was complete before it was cancelled', async () => {
    const box = createEventBox()
    box.end('stop', usage)
    box.cancel()
    expect(await box.next()).to.deep.equal({ type: 'end', finish: 'stop', usage })
  })

  it('throws an error behind the text that came before it', async () => {
    const box = createEventBox()
    box.delta({ type: 'text', text: 'a', tokens: 1 })
    box.fail(new TriforceError('ENGINE_FAILED'))
    expect(await box.next()).to.include({ type: 'text' })
    expect(await box.next().catch((error: unknown) => error)).to.include({ code: 'ENGINE_FAILED' })
  })

  it('has no room from a full window until the consumer takes or leaves', async () => {
    for (const leave of [false, true]) {
      const box = createEventBox()
      box.delta({ type: 'text', text: 'a', tokens: 63 })
      expect(box.room(64)).to.equal(undefined)
      box.delta({ type: 'text', text: 'b', tokens: 64 })
      let room = false
      void box.room(64)?.then(() => { room = true })
      await settled()
      expect(room).to.equal(false)
      if (leave) box.cancel()
      else await box.next()
      await settled()
      expect(room).to.equal(true)
    }
  })
})
