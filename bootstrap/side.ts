/** What a hub and every other node share, and in what they differ. */
import type { ContributorGateway } from '../node/contributor/contributor-gateway.ts'
import type { ModelHosts } from '../node/discovery/model-hosts.ts'
import type { Gateway, NodeStatus } from '../node/gateway.ts'
import type { ChecksAdmin } from '../node/honesty/honesty.ts'
import type { Executor } from '../node/jobs/executor.ts'
import type { JobQueue } from '../node/jobs/job-queue.ts'
import type { TicketGate } from '../node/jobs/tickets.ts'
import type { TurnSigner } from '../node/jobs/turn-signer.ts'
import type { LifecyclePart } from '../node/lifecycle.ts'
import type { ChannelHandler } from '../node/net/channel.ts'
import type { ChannelPool } from '../node/net/channel-pool.ts'
import type { Host } from '../node/net/host.ts'
import type { Requests } from '../node/net/requests.ts'
import type { NodeConfig } from './config.ts'
import type { System } from './system.ts'

export interface SharedParts {
  readonly config: NodeConfig
  readonly system: System
  readonly host: Host
  readonly turnSigner: TurnSigner
  readonly jobPool: ChannelPool
  readonly requests: Requests
  readonly modelHosts: ModelHosts
  readonly executor: Executor
  readonly gate: TicketGate
  /** Of this start of the node. */
  readonly boot: Uint8Array
  readonly queue: JobQueue
  readonly status: () => NodeStatus
  readonly isSelf: (peer: string) => boolean
  readonly isHub: (peer: string) => boolean
}

/** What differs between a hub and the rest. */
export interface Side {
  readonly gateway: Gateway
  readonly contributor: ContributorGateway
  /** Hubs only. */
  readonly checks?: ChecksAdmin
  readonly jobServer: ChannelHandler
  readonly controlServer: ChannelHandler
  readonly parts: readonly LifecyclePart[]
  readonly jobs: () => NodeStatus['jobs']
}
