/**
 * The machines that are lent, as one hub knows them: what each said last, under its own signature, and who has left. Kept
 * by a store over restarts; which key earns for which account stands in the ledger and not here.
 */
import { toHex } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { TriforceError, toTriforceError } from '../../protocol/errors.ts'
import { idField, timeField } from '../../protocol/fields.ts'
import { REGISTRATIONS_LISTED_MAX } from '../../protocol/limits.ts'
import { contributorOrderSchema, type ContributorOrder } from '../../protocol/messages/contributor.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Log } from '../../protocol/ports.ts'
import { signedSchema, type Signed } from '../../protocol/signed.ts'
import { z } from 'zod'

/** Files, or a map in a test. What cannot be written is the store's to report; the registry goes on from memory. */
export interface RegistrationStore {
  load(): Promise<readonly Uint8Array[]>
  put(id: string, bytes: Uint8Array): void
  remove(id: string): void
}

export type Claims = Extract<ContributorOrder, { do: 'register' | 'announce' }>

export interface Registration {
  readonly id: Uint8Array
  readonly account: Uint8Array
  /** Absent while only announced. */
  readonly node: Uint8Array | undefined
  readonly claims: Claims
  /** The order as it was signed. */
  readonly order: Signed
  readonly registeredAt: number
  /** When it was unregistered, by the clock of who said so. */
  readonly leftAt: number | undefined
}

export interface Registry {
  get(id: Uint8Array): Registration | undefined
  ofNode(publicKey: Uint8Array): Registration | undefined
  /** Peer ids of its machines that have not left. */
  peersOf(account: Uint8Array): readonly string[]
  /** Without those that have left, the newest first. */
  ofAccount(account: Uint8Array): readonly Registration[]
  /** True for the key of a machine that is or was registered here: it lends, and may not spend. */
  isNodeKey(publicKey: Uint8Array): boolean
  /** Throws QUEUE_FULL where the hub has no room, FORBIDDEN where the account has as many machines as it may. */
  put(registration: Registration): void
  remove(id: Uint8Array): void
  readonly size: number
}

export interface RegistryOptions {
  /** Default 20,000, as many as the capacity table holds. */
  readonly registrationsMax?: number
}

const storedSchema = z.object({ v: z.literal(1), account: idField, order: signedSchema, registeredAt: timeField, leftAt: timeField.optional() })

/** One id for a machine, at whichever hub: it is that of its key, or of the account and the name it was announced under. */
export function registrationIdOf(order: Signed, claims: Claims, account: Uint8Array): Uint8Array {
  return claims.do === 'register' ? machineIdOf(order.key) : idOf(account, Buffer.from(claims.name, 'utf8'))
}

/** Of a machine whose node has this key. */
export function machineIdOf(publicKey: Uint8Array): Uint8Array {
  return idOf(publicKey)
}

function idOf(...parts: readonly Uint8Array[]): Uint8Array {
  return sha256(Buffer.from('triforce/registration/1\0', 'utf8'), ...parts).slice(0, 16)
}

/** Reads what the store has; a record that does not read is left out. */
export async function openRegistry({ store, log }: { readonly store: RegistrationStore; readonly log: Log }, options: RegistryOptions = {}): Promise<Registry> {
  const { registrationsMax = 20_000 } = options
  const all = new Map<string, Registration>()
  const byAccount = new Map<string, Set<string>>()

  for (const bytes of await store.load()) {
    try {
      keep(read(bytes))
    } catch (reason) {
      log.warn('a registration on the disk does not read and is left out', { code: toTriforceError(reason).code })
    }
  }

  function read(bytes: Uint8Array): Registration {
    const { account, order, registeredAt, leftAt } = decode(storedSchema, bytes)
    const claims = decode(contributorOrderSchema, order.body)
    if (claims.do !== 'register' && claims.do !== 'announce') throw new TriforceError('FRAME_MALFORMED')
    return { id: registrationIdOf(order, claims, account), account, node: claims.do === 'register' ? order.key : undefined, claims, order, registeredAt, leftAt }
  }

  function keep(registration: Registration): void {
    const id = toHex(registration.id)
    forget(id)
    all.set(id, registration)
    const account = toHex(registration.account)
    const ids = byAccount.get(account) ?? new Set<string>()
    byAccount.set(account, ids.add(id))
  }

  function forget(id: string): void {
    const known = all.get(id)
    if (known === undefined) return
    all.delete(id)
    const account = toHex(known.account)
    const ids = byAccount.get(account)
    ids?.delete(id)
    if (ids?.size === 0) byAccount.delete(account)
  }

  function machinesOf(account: Uint8Array): Registration[] {
    return [...byAccount.get(toHex(account)) ?? []].map((id) => all.get(id)!).filter(({ leftAt }) => leftAt === undefined)
  }

  const nodeId = (publicKey: Uint8Array) => toHex(machineIdOf(publicKey))

  return {
    get: (id) => all.get(toHex(id)),
    ofNode: (publicKey) => all.get(nodeId(publicKey)),
    peersOf(account) {
      // Most accounts lend nothing, and this is asked for every job.
      if (byAccount.size === 0) return []
      return machinesOf(account).flatMap(({ node }) => node === undefined ? [] : [peerIdOf(node)])
    },
    ofAccount: (account) => machinesOf(account).sort((a, b) => b.registeredAt - a.registeredAt),
    isNodeKey: (publicKey) => all.has(nodeId(publicKey)),
    put(registration) {
      const id = toHex(registration.id)
      if (!all.has(id)) {
        if (all.size >= registrationsMax) throw new TriforceError('QUEUE_FULL', {}, { detail: 'this hub has as many machines as it can keep; ask another hub', retryAfterMs: 60_000 })
        if (machinesOf(registration.account).length >= REGISTRATIONS_LISTED_MAX) {
          throw new TriforceError('FORBIDDEN', { machines: REGISTRATIONS_LISTED_MAX }, { detail: `an account may lend ${REGISTRATIONS_LISTED_MAX} machines; unregister one that is gone` })
        }
      }
      keep(registration)
      const { account, order, registeredAt, leftAt } = registration
      store.put(id, encode({ v: 1, account, order, registeredAt, ...(leftAt === undefined ? {} : { leftAt }) } satisfies z.input<typeof storedSchema>))
    },
    remove(id) {
      forget(toHex(id))
      store.remove(toHex(id))
    },
    get size() { return all.size },
  }
}
