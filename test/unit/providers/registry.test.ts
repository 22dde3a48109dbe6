import { expect } from 'chai'
import { BENCH_SOURCE_MODEL, createBenchSource } from '../../../providers/bench-source.ts'
import type { Provider } from '../../../providers/interface.ts'
import { createProviderRegistry } from '../../../providers/registry.ts'
import { fakeClock } from '../../support/fake-clock.ts'
import { chatRequest, codeOf, collect } from '../../support/provider-world.ts'

describe('providers/registry', () => {
  /** A bench source under another name, which can change. */
  function source(name: string, options: { tokens?: number; ids?: string[]; ok?: boolean } = {}): { provider: Provider; change: () => void; closed: () => boolean } {
    const bench = createBenchSource({ clock: fakeClock() }, { tokens: options.tokens ?? 3, slots: 2 })
    const listeners = new Set<() => void>()
    const [model] = bench.models()
    let closed = false
    const provider: Provider = {
      ...bench, name,
      models: () => (options.ids ?? [BENCH_SOURCE_MODEL]).map((id) => ({ ...model!, id })),
      health: () => ({ ok: options.ok ?? true, text: `this is ${name}` }),
      onChange(listener) {
        listeners.add(listener)
        return () => { listeners.delete(listener) }
      },
      close: async () => { closed = true },
    }
    return { provider, change: () => listeners.forEach((listener) => listener()), closed: () => closed }
  }

  it('shows the models of all and runs a model at the first that offers it', async () => {
    const a = source('a', { ids: ['only-a', BENCH_SOURCE_MODEL], tokens: 2 })
    const b = source('b', { ids: [BENCH_SOURCE_MODEL, 'only-b'], tokens: 5 })
    const registry = createProviderRegistry({ providers: [a.provider, b.provider] })
    expect(registry.slots).to.equal(4)
    expect(registry.models().map((model) => model.id)).to.deep.equal(['only-a', BENCH_SOURCE_MODEL, 'only-b'])
    expect((await collect(registry, chatRequest(BENCH_SOURCE_MODEL))).end.usage.completionTokens).to.equal(2)
    expect(await codeOf(collect(registry, chatRequest('nobody-has-it')))).to.equal('MODEL_NOT_FOUND')
  })

  it('hears the changes of all until it is told not to', () => {
    const [a, b] = [source('a'), source('b')]
    const registry = createProviderRegistry({ providers: [a.provider, b.provider] })
    let heard = 0
    const stop = registry.onChange(() => { heard += 1 })
    a.change()
    b.change()
    expect(heard).to.equal(2)
    stop()
    a.change()
    b.change()
    expect(heard).to.equal(2)
  })

  it('is well where one is well, and tells of all', () => {
    const providers = [source('a', { ok: false }).provider, source('b').provider]
    expect(createProviderRegistry({ providers }).health()).to.deep.equal({ ok: true, text: 'a: this is a. b: this is b' })
    expect(createProviderRegistry({ providers: [] }).health()).to.deep.equal({ ok: false, text: 'no provider is set up' })
  })

  it('closes all', async () => {
    const [a, b] = [source('a'), source('b')]
    await createProviderRegistry({ providers: [a.provider, b.provider] }).close()
    expect([a.closed(), b.closed()]).to.deep.equal([true, true])
  })
})
