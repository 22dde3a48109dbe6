/** The models that the federation offers now, from fresh capacity announcements. */
import type { ModelInfo } from '../gateway.ts'
import type { CapacityTable } from './table.ts'

export function listModels(table: Pick<CapacityTable, 'fresh' | 'firstSeenAt'>): ModelInfo[] {
  const models = new Map<string, ModelInfo>()
  for (const row of table.fresh()) {
    if (row.capacity.draining) continue
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
  return [...models.values()].sort((a, b) => a.id.localeCompare(b.id))
}
