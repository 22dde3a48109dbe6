/** What vendors have, for tests of who asks them: models at hubs, each for 1 µcr a token. */
import type { CapacityRow } from '../../node/capacity/table.ts'
import type { CloudHost } from '../../node/clouds/cloud-hosts.ts'
import type { CloudMarket } from '../../node/jobs/candidates.ts'
import type { CatalogueModel } from '../../protocol/messages/catalogue.ts'

export const noClouds: CloudMarket = {
  hosts: { find: () => [], models: () => [] }, resolve: (name) => [name], priceOf: () => ({ promptMicroCredits: 1_000n, completionMicroCredits: 1_000n }),
}

export function aCloudModel(id: string, part: Partial<CatalogueModel> = {}): CatalogueModel {
  return { id, name: id, contextTokens: 128_000, outputTokensMax: 4_096, capabilities: ['chat', 'json', 'tools'], ...part }
}

export interface MarketPart {
  readonly row: CapacityRow
  readonly models: readonly CatalogueModel[]
  readonly keepsPrompts?: boolean
}

export function cloudMarket(parts: readonly MarketPart[], priceOf: CloudMarket['priceOf'] = noClouds.priceOf): CloudMarket {
  const hosts = parts.flatMap(({ row, models, keepsPrompts = false }) => models.map((model): CloudHost => ({
    row, model, offer: { vendor: model.id.split('/')[0]!, models: models.length, revision: new Uint8Array(16), keepsPrompts },
  })))
  const models = [...new Map(hosts.map(({ model, offer }) => [model.id, { model, vendor: offer.vendor, hosts: 1, firstSeenAt: 0 }])).values()]
  return {
    hosts: { find: (id) => hosts.filter(({ model }) => model.id === id), models: () => models },
    resolve: (name) => [name, ...models.filter(({ model }) => model.id.endsWith(`/${name}`)).map(({ model }) => model.id)],
    priceOf,
  }
}
