/**
 * The hash chain over an account's money entries in one log. Its head stands in the account's leaf of the state tree, so
 * a holder who has the entries can tell that none is missing.
 */
import { createHash } from 'node:crypto'
import type { AccountChain, AccountState, LogName } from './state.ts'

const NO_HEAD = new Uint8Array(32)

/** `head`: undefined before the first entry. `bytes`: the entry as it stands in the log. */
export function nextHead(head: Uint8Array | undefined, bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(head ?? NO_HEAD).update(bytes).digest()
}

export function chainEntry(account: AccountState, log: LogName, bytes: Uint8Array): void {
  const chain = account.chains.get(log)
  if (chain === undefined) account.chains.set(log, { entries: 1, head: nextHead(undefined, bytes) } satisfies AccountChain)
  else {
    chain.entries += 1
    chain.head = nextHead(chain.head, bytes)
  }
}
