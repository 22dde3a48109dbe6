/** The models that the federation offers now: of hosts, from fresh capacity announcements, and of vendors, from the hubs' catalogues. */
import type { z } from 'zod'
import type { accountActions } from '../../protocol/messages/control.ts'
import { ownIdOf } from '../clouds/own-clouds.ts'
import type { ModelInfo } from '../gateway.ts'
import type { CloudMarket } from '../jobs/candidates.ts'
import type { CapacityRow, CapacityTable } from './table.ts'

type ModelWire = z.output<typeof accountActions.models.tell>['models'][number]

type ModelTable = Pick<CapacityTable, 'fresh' | 'firstSeenAt'>

/** Hosts' models first, then the vendors' where they are asked for, each by id. */
export function listModels(table: ModelTable, clouds?: Pick<CloudMarket, 'hosts' | 'priceOf'>): ModelInfo[] {
  const models = modelsOfHosts(table, (row) => !row.capacity.draining)
  const ofHosts = [...models.values()].sort(byId)
  if (clouds === undefined) return ofHosts
  return [...ofHosts, ...clouds.hosts.models().filter(({ model }) => !models.has(model.id)).map(({ model, vendor, hosts, firstSeenAt }): ModelInfo => ({
    id: model.id, hosts, contextTokens: model.contextTokens, capabilities: model.capabilities, quantizations: [], demo: false, firstSeenAt,
    vendor, name: model.name, outputTokensMax: model.outputTokensMax, price: clouds.priceOf(vendor, ownIdOf(model.id)),
  }))]
}

/** Models of which every host is paused or leaving, so that they are in no list of what is offered. */
export function listResting(table: ModelTable): ModelInfo[] {
  const offered = modelsOfHosts(table, (row) => !row.capacity.draining)
  return [...modelsOfHosts(table, (row) => row.capacity.draining).values()].filter(({ id }) => !offered.has(id)).sort(byId)
}

const byId = (a: ModelInfo, b: ModelInfo) => a.id.localeCompare(b.id)

function modelsOfHosts(table: ModelTable, isWanted: (row: CapacityRow) => boolean): Map<string, ModelInfo> {
  const models = new Map<string, ModelInfo>()
  for (const row of table.fresh()) {
    if (!isWanted(row)) continue
    for (const offer of row.capacity.models) {
      const known = models.get(offer.id)
      models.set(offer.id, {
        id: offer.id,
        hosts: (known?.hosts ?? 0) + 1,
        contextTokens: Math.max(known?.contextTokens ?? 0, offer.contextTokens),
        capabilities: [...new Set([...(known?.capabilities ?? []), ...offer.capabilities])],
        quantizations: [...new Set([...(known?.quantizations ?? []), ...(offer.quantization === '' ? [] : [offer.quantization])])].slice(0, 16),
        demo: offer.demo,
        firstSeenAt: table.firstSeenAt(offer.id),
      })
    }
  }
  return models
}

export function modelToWire({ price, capabilities, quantizations, ...model }: ModelInfo): ModelWire {
  return {
    ...model, capabilities: [...capabilities], quantizations: [...quantizations],
    ...(price === undefined ? {} : { price: { prompt: price.promptMicroCredits.toString(), completion: price.completionMicroCredits.toString() } }),
  }
}

export function modelFromWire({ price, vendor, name, outputTokensMax, ...model }: ModelWire): ModelInfo {
  return {
    ...model, ...(vendor === undefined ? {} : { vendor }), ...(name === undefined ? {} : { name }), ...(outputTokensMax === undefined ? {} : { outputTokensMax }),
    ...(price === undefined ? {} : { price: { promptMicroCredits: BigInt(price.prompt), completionMicroCredits: BigInt(price.completion) } }),
  }
}
