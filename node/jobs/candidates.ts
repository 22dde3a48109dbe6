/**
 * Hosts that may take a job: named by provider records in the DHT and by capacity announcements, kept only where the
 * announcement is fresh, offers the model with what the request needs, and the host can be reached.
 */
import type { CompletionRequest } from '../../protocol/completion.ts'
import type { ModelCapability, OfferedModel } from '../../protocol/messages/capacity.ts'
import type { CapacityRow, CapacityTable } from '../capacity/table.ts'
import type { ModelHosts } from '../discovery/model-hosts.ts'

export interface HostCandidate {
  readonly row: CapacityRow
  readonly model: OfferedModel
  /** From provider records; how to reach a host that has no connection to this hub. */
  readonly addresses: readonly string[]
}

export interface CandidatesComponents {
  readonly table: Pick<CapacityTable, 'fresh'>
  readonly modelHosts: Pick<ModelHosts, 'find'>
  readonly isConnected: (peer: string) => boolean
}

/** What a host must be able to do for this request. */
export function needsOf(request: CompletionRequest): ModelCapability[] {
  return [
    'chat',
    ...(request.responseFormat.type === 'text' ? [] : ['json' as const]),
    ...(request.continueLast ? ['continue' as const] : []),
    ...(request.tools === undefined && request.messages.every(({ role, toolCalls }) => role !== 'tool' && toolCalls === undefined) ? [] : ['tools' as const]),
    ...(request.messages.some(({ content }) => typeof content !== 'string' && content.some(({ type }) => type === 'image')) ? ['vision' as const] : []),
    ...(request.logprobs === undefined ? [] : ['logprobs' as const]),
    ...(request.reasoning === undefined || request.reasoning.effort === 'none' || request.reasoning.adaptive === true ? [] : ['reasoning' as const]),
  ]
}

export interface Candidates {
  readonly hosts: readonly HostCandidate[]
  /** Fresh offers of the model, also those that were left out. */
  readonly offers: number
}

export async function findCandidates(
  components: CandidatesComponents, modelId: string, needs: readonly ModelCapability[],
): Promise<Candidates> {
  const recorded = new Map((await components.modelHosts.find(modelId)).map((host) => [host.peer, host.addresses]))
  const hosts: HostCandidate[] = []
  let offers = 0
  for (const row of components.table.fresh()) {
    const model = row.capacity.models.find((one) => one.id === modelId)
    if (model === undefined) continue
    offers += 1
    const addresses = recorded.get(row.peer) ?? []
    const isReachable = components.isConnected(row.peer) || addresses.length > 0
    const isAble = needs.every((need) => model.capabilities.includes(need))
    if (!row.capacity.draining && isReachable && isAble) hosts.push({ row, model, addresses })
  }
  return { hosts, offers }
}
