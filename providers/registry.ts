/**
 * Several providers as one: models of all, each run by the first that offers it.
 */
import { TriforceError } from '../protocol/errors.ts'
import type { OfferedModel } from '../protocol/messages/capacity.ts'
import type { Provider } from './interface.ts'

export interface ProviderRegistryComponents {
  /** In order of preference: of two that offer the same model id, the first one runs it. */
  readonly providers: readonly Provider[]
}

export function createProviderRegistry(components: ProviderRegistryComponents): Provider {
  const { providers } = components

  function providerOf(id: string): Provider {
    const provider = providers.find((one) => one.models().some((model) => model.id === id))
    if (provider === undefined) throw new TriforceError('MODEL_NOT_FOUND', { model: id })
    return provider
  }

  return {
    name: 'registry',
    slots: providers.reduce((sum, provider) => sum + provider.slots, 0),
    models() {
      const byId = new Map<string, OfferedModel>()
      for (const provider of providers) {
        for (const model of provider.models()) if (!byId.has(model.id)) byId.set(model.id, model)
      }
      return [...byId.values()]
    },
    onChange(listener) {
      const stops = providers.map((provider) => provider.onChange(listener))
      return () => stops.forEach((stop) => stop())
    },
    health() {
      const all = providers.map((provider) => ({ name: provider.name, ...provider.health() }))
      const text = all.map((one) => `${one.name}: ${one.text}`).join('. ')
      return { ok: all.some((one) => one.ok), text: text === '' ? 'no provider is set up' : text }
    },
    run: (request, options) => providerOf(request.model).run(request, options),
    async embed(request, options) {
      const provider = providerOf(request.model)
      if (provider.embed === undefined) throw new TriforceError('CAPABILITY_MISSING', { model: request.model }, { detail: `"${request.model}" makes no embeddings` })
      return await provider.embed(request, options)
    },
    async close() {
      await Promise.all(providers.map((provider) => provider.close()))
    },
  }
}
