/** What the hub is asked to have answered, for whom, and where it may go. */
import type { CompletionRequest, JobRequest } from '../../protocol/completion.ts'
import type { PrivacyClass, RoutingWishes } from '../../protocol/routing.ts'

export interface JobOrder<Request extends JobRequest = CompletionRequest> {
  /** 16 bytes. */
  readonly account: Uint8Array
  readonly request: Request
  /** The request's bytes where it came as bytes, so that they are hashed as they are. */
  readonly requestBytes?: Uint8Array
  /** Of the account: its priority, and how much it may ask for. */
  readonly tier: string
  readonly signal: AbortSignal
  readonly routing?: RoutingWishes
  /** Who may see the prompt at most, by the key that asks; a wish can only narrow it. Default `cloud`. */
  readonly privacy?: PrivacyClass
  /** Accounts whose nodes are friends', by the key that asks. */
  readonly friends?: readonly Uint8Array[]
  /** Id of the API key that asks, for the account's own accounts. */
  readonly apiKey?: Uint8Array
  /** The key itself where a budget counts what is held. */
  readonly key?: Uint8Array
}
