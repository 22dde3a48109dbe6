/** What proves an account's state at a final checkpoint; for the holder of the account only (see state-tree.ts). */
import type { FinalCheckpoint } from './checkpoint.ts'
import type { StateProof } from './state-tree.ts'

export interface AccountProof {
  readonly final: FinalCheckpoint
  /** The account's leaf, see state-leaf.ts. */
  readonly leaf: Uint8Array
  readonly path: StateProof
}
