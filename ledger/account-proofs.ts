/** Proofs of accounts at the newest final checkpoint, asked of the core by whoever writes a statement. */
import type { AccountProof } from './checkpoint/account-proof.ts'
import type { CoreRunner } from './core-runner.ts'
import type { AccountId } from './fold/state.ts'

export interface AccountProofs {
  /** Undefined where no final checkpoint has the account yet. */
  prove(account: AccountId): Promise<AccountProof | undefined>
  /** The core's answer. */
  proved(account: AccountId, proof: AccountProof | undefined): void
  close(): void
}

export function createAccountProofs({ core }: { readonly core: () => Pick<CoreRunner, 'run'> }): AccountProofs {
  const waiting = new Map<AccountId, ((proof: AccountProof | undefined) => void)[]>()
  let closed = false

  function settle(account: AccountId, proof: AccountProof | undefined): void {
    const all = waiting.get(account) ?? []
    waiting.delete(account)
    for (const resolve of all) resolve(proof)
  }

  return {
    prove: (account) => {
      if (closed) return Promise.resolve(undefined)
      return new Promise((resolve) => {
        const others = waiting.get(account)
        if (others !== undefined) {
          others.push(resolve)
          return
        }
        waiting.set(account, [resolve])
        core().run({ type: 'prove', account })
      })
    },
    proved: settle,
    close: () => {
      closed = true
      for (const account of waiting.keys()) settle(account, undefined)
    },
  }
}
