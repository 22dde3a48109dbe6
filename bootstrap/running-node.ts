/** What `compose.ts` gives back: a node that runs, as the command line and `up` see it. */
import type { HubAnswer } from '../node/contributor/registrar.ts'
import type { NodeStatus } from '../node/gateway.ts'
import type { NodeMode } from '../protocol/messages/capacity.ts'

export interface RunningNode {
  readonly peerId: string
  readonly name: string
  readonly mode: NodeMode
  /** Address of the HTTP bridge without a path, such as `http://127.0.0.1:8330`. */
  readonly api: string
  /** Multiaddrs at which this node really listens, without `/p2p/…`. */
  readonly p2p: readonly string[]
  readonly pid: number
  /** Ids of the models that this node offers now. */
  models(): readonly string[]
  status(): NodeStatus
  /** Nodes that lend: resolves with what the first hub answered to this machine's registration. */
  readonly registered?: Promise<HubAnswer>
  /** Stops in order, once; when `signal` aborts, what still runs is given up. */
  stop(options: { readonly signal: AbortSignal }): Promise<void>
  /** Resolves with the reason when the node cannot go on by itself; never rejects, and stays pending otherwise. */
  readonly failed: Promise<Error>
}
