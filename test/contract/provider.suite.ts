/** What every provider promises to the executor; run over each implementation in provider.test.ts. */
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import type { CompletionRequest } from '../../protocol/completion.ts'
import type { Provider, ProviderEvent } from '../../providers/interface.ts'
import { chatRequest, codeOf, collect, type RunResult } from '../support/provider-world.ts'

export interface ProviderSubject {
  readonly provider: Provider
  readonly model: string
  /** Makes an answer of at least 400 tokens when `maxTokens` does not end it before. */
  readonly long: Partial<CompletionRequest>
  /** Tokens that may be computed ahead of the consumer. */
  readonly windowTokens: number
  close(): Promise<void>
}

export function describeProvider(name: string, setup: () => Promise<ProviderSubject>): void {
  describe(`contract: ${name}`, () => {
    let subject: ProviderSubject
    const request = (fields: Partial<CompletionRequest> = {}): CompletionRequest => chatRequest(subject.model, { ...subject.long, maxTokens: 400, ...fields })
    const run = (fields: Partial<CompletionRequest> = {}, options: Parameters<typeof collect>[2] = {}): Promise<RunResult> => collect(subject.provider, request(fields), options)

    before(async function () {
      this.timeout(30_000)
      subject = await setup()
    })
    after(async () => { await subject.close() })

    it('offers its model and says that it is well', () => {
      expect(subject.provider.models().map((model) => model.id)).to.include(subject.model)
      expect(subject.provider.health()).to.include({ ok: true })
    })

    it('streams text with a growing count and ends once, with a usage that adds up', async () => {
      const { events, text, end } = await run({ maxTokens: 40 })
      const counts = events.flatMap((event) => (event.type === 'text' ? [event.tokens] : []))
      expect(text).to.not.equal('')
      expect(counts).to.deep.equal([...counts].sort((a, b) => a - b))
      expect(events.filter((event) => event.type === 'end')).to.have.length(1)
      expect(end.finish).to.equal('length')
      expect(end.usage.completionTokens).to.equal(40)
      expect(counts.at(-1)).to.equal(40)
      expect(end.usage.promptTokens).to.be.greaterThan(0)
    })

    it('ends a cancelled run within 100 ms, counts what was taken, and serves the next one', async () => {
      const controller = new AbortController()
      let abortedAt = 0
      const { events, end } = await run({}, {
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type !== 'text' || controller.signal.aborted) return
          abortedAt = performance.now()
          controller.abort()
        },
      })
      expect(performance.now() - abortedAt).to.be.lessThan(100)
      const taken = events.flatMap((event) => (event.type === 'text' ? [event.tokens] : [])).at(-1)
      expect(end.finish).to.equal('cancelled')
      expect(end.usage.completionTokens).to.equal(taken)
      expect((await run({ maxTokens: 5 })).end.usage.completionTokens).to.equal(5)
    })

    it('ends a run that was cancelled before it began', async () => {
      const { events, end } = await run({}, { signal: AbortSignal.abort() })
      expect(events).to.have.length(1)
      expect(end.finish).to.equal('cancelled')
      expect(end.usage.completionTokens).to.equal(0)
    })

    it('frees its place when a consumer just leaves', async () => {
      for (let i = 0; i < Math.min(subject.provider.slots, 4) + 1; i++) {
        for await (const event of subject.provider.run(request(), { signal: new AbortController().signal })) {
          if (event.type === 'text') break
        }
      }
      expect((await run({ maxTokens: 5 })).end.usage.completionTokens).to.equal(5)
    })

    it('does not run further ahead of a consumer that stops pulling than its window', async () => {
      const controller = new AbortController()
      const iterator = subject.provider.run(request(), { signal: controller.signal })[Symbol.asyncIterator]()
      const first = await nextText(iterator)
      // Time for a provider without a bound to compute hundreds of tokens.
      await delay(200)
      const second = await nextText(iterator)
      expect(second.tokens - first.tokens).to.be.greaterThan(0).and.at.most(subject.windowTokens)
      controller.abort()
      await iterator.return?.()
    })

    it('serves more jobs than it has slots, one after the other', async () => {
      const jobs = Math.min(subject.provider.slots, 4) + 2
      const results = await Promise.all(Array.from({ length: jobs }, () => run({ maxTokens: 30 })))
      expect(results.map((result) => result.end.usage.completionTokens)).to.deep.equal(Array.from({ length: jobs }, () => 30))
      if (subject.provider.slots > 4) return
      const queued = results.flatMap((result) => result.events).filter((event) => event.type === 'state' && event.state.state === 'queued')
      expect(queued).to.not.have.length(0)
    })

    it('refuses a model that it does not have', async () => {
      expect(await codeOf(collect(subject.provider, chatRequest('no-such-model')))).to.equal('MODEL_NOT_FOUND')
    })
  })
}

async function nextText(iterator: AsyncIterator<ProviderEvent>): Promise<Extract<ProviderEvent, { type: 'text' }>> {
  for (;;) {
    const { value, done } = await iterator.next()
    if (done === true || value.type === 'end') throw new Error('the run ended too early')
    if (value.type === 'text') return value
  }
}
