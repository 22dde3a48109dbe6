/**
 * Accounts' own keys at vendors. They are kept sealed at the node that their account chose, are used by that node alone and
 * are never sent to another one; whoever asks sees their last four characters.
 */
import { toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'

export interface OwnKey {
  /** 32 hexadecimal digits. */
  readonly account: string
  readonly vendor: string
  readonly key: string
  /** `priority`: before the federation's hosts of the model; `fallback`: after them. */
  readonly mode: 'priority' | 'fallback'
  /** Unix milliseconds. */
  readonly addedAt: number
}

/** As it may be shown. */
export interface OwnKeyView extends Omit<OwnKey, 'account' | 'key'> {
  readonly lastFour: string
}

/** Keeps all of them, sealed; one write at a time. */
export interface OwnKeyStore {
  save(keys: readonly OwnKey[]): Promise<void>
}

export interface OwnKeys {
  list(account: Uint8Array): readonly OwnKeyView[]
  find(account: Uint8Array, vendor: string): OwnKey | undefined
  /** Replaces the one of that vendor. Resolves when it is on disk. Throws RATE_LIMITED where the node keeps too many. */
  put(account: Uint8Array, own: Pick<OwnKey, 'vendor' | 'key' | 'mode'>): Promise<OwnKeyView>
  /** False where there was none. */
  remove(account: Uint8Array, vendor: string): Promise<boolean>
}

/** All accounts together; a node of one family has a handful. */
const KEYS_MAX = 10_000
const KEYS_PER_ACCOUNT_MAX = 32

export function createOwnKeys({ store, clock }: { readonly store: OwnKeyStore; readonly clock: Clock }, loaded: readonly OwnKey[]): OwnKeys {
  const keys = new Map(loaded.map((own) => [nameOf(own.account, own.vendor), own]))
  let writing = Promise.resolve()

  /** Each write has what the one before had; a failed one does not keep the next from being tried. */
  function save(): Promise<void> {
    const next = writing.then(() => store.save([...keys.values()]))
    writing = next.catch(() => {})
    return next
  }

  const ofAccount = (account: string) => [...keys.values()].filter((own) => own.account === account)

  return {
    list: (account) => ofAccount(toHex(account)).map(viewOf),
    find: (account, vendor) => keys.get(nameOf(toHex(account), vendor)),
    async put(account, { vendor, key, mode }) {
      const own: OwnKey = { account: toHex(account), vendor, key, mode, addedAt: clock.now() }
      const name = nameOf(own.account, vendor)
      const before = keys.get(name)
      if (before === undefined && (keys.size >= KEYS_MAX || ofAccount(own.account).length >= KEYS_PER_ACCOUNT_MAX)) {
        throw new TriforceError('RATE_LIMITED', {}, { detail: 'this node keeps no more vendor keys; remove one first' })
      }
      keys.set(name, own)
      try {
        await save()
      } catch (error) {
        if (before === undefined) keys.delete(name)
        else keys.set(name, before)
        throw error
      }
      return viewOf(own)
    },
    async remove(account, vendor) {
      const had = keys.delete(nameOf(toHex(account), vendor))
      if (had) await save()
      return had
    },
  }
}

function viewOf({ vendor, key, mode, addedAt }: OwnKey): OwnKeyView {
  return { vendor, mode, addedAt, lastFour: key.slice(-4) }
}

const nameOf = (account: string, vendor: string) => `${account} ${vendor}`
