/**
 * The two accounts of a local federation: `local` pays and owns the printed key, `lender` is who the contributors earn
 * for. Everything here may be done again at each start and changes nothing the second time.
 */
import { z } from 'zod'
import { accountIdOf } from '../../protocol/api-key.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import { MICRO_CREDITS_PER_CREDIT } from '../../protocol/units.ts'
import { createAdminClient, createApiKey, publicHalfOf, type AdminClient } from '../admin-client.ts'
import { adminTokenPath, loadAdminToken } from '../admin-token.ts'
import { isUnreachable } from '../api-client.ts'
import { CommandError } from '../command-error.ts'
import { createPrivateFile, readTextFile } from '../private-file.ts'
import { pollUntil } from './poll.ts'

const accountKeysSchema = z.strictObject({ v: z.literal(1), local: z.string(), lender: z.string() })
export type AccountKeys = z.output<typeof accountKeysSchema>

export const accountDefaults = Object.freeze({
  localTier: 'unlimited',
  lenderTier: 'contributor',
  grantMicroCredits: 1_000n * MICRO_CREDITS_PER_CREDIT,
})

/** Names the one grant that a local account gets, however often `up` runs. */
const GRANT_SOURCE = 'up/first-credits'

/** A hub takes entries once it has caught up with the others. */
const WRITABLE_MS_MAX = 30_000

export async function loadOrCreateAccountKeys(path: string): Promise<AccountKeys> {
  const keys: AccountKeys = { v: 1, local: createApiKey(), lender: createApiKey() }
  if (await createPrivateFile(path, `${JSON.stringify(keys, null, 2)}\n`)) return keys
  try {
    const known = accountKeysSchema.parse(JSON.parse(await readTextFile(path) ?? ''))
    publicHalfOf(known.local)
    publicHalfOf(known.lender)
    return known
  } catch (cause) {
    throw new CommandError(`${path} is damaged; restore it from a backup, or remove it to get new accounts`, { cause })
  }
}

export interface AccountsInput {
  readonly hubs: readonly { readonly api: string; readonly dir: string }[]
  readonly contributors: readonly { readonly name: string; readonly peerId: string }[]
  readonly keys: AccountKeys
  /** Of the account `local`. The credits are given once, when it is opened; the tier is what it has from now on. */
  readonly local: { readonly tier: string; readonly microCredits: bigint }
}

/** Opens both accounts at the first hub and waits until every hub knows them. */
export async function ensureAccounts({ hubs, contributors, keys, local: wanted }: AccountsInput, options: { readonly signal: AbortSignal }): Promise<void> {
  const admins = await Promise.all(hubs.map(adminOf))
  const [first] = admins
  if (first === undefined) return
  const known = await pollUntil(() => first.accounts().catch(undefinedWhileStarting), {
    ...options, msMax: WRITABLE_MS_MAX, failure: 'the first hub does not answer its admin; look at its node.log',
  })
  const lender = await ensureAccount(first, { name: 'lender', apiKey: keys.lender, tier: accountDefaults.lenderTier }, options)
  for (const contributor of contributors) {
    await whenWritable(() => first.addKey({ publicKey: nodeKeyOf(contributor.peerId), account: lender, name: contributor.name }), options)
  }
  const local = await ensureAccount(first, { name: 'local', apiKey: keys.local, tier: wanted.tier }, options)
  if (wanted.microCredits > 0n) await whenWritable(() => first.grant({ account: local, microCredits: wanted.microCredits, source: GRANT_SOURCE }).catch(unlessGiven), options)
  if (known.some((account) => account.account === local)) return
  // The grant is the last of the new entries: a hub whose balance shows it knows the key too.
  await Promise.all(admins.map((admin) => pollUntil(async () => {
    const accounts = await admin.accounts().catch(undefinedWhileStarting)
    return accounts?.some(({ account, balance_micro_credits: balance }) => account === local && (balance > 0n || wanted.microCredits === 0n)) === true ? true : undefined
  }, { ...options, msMax: WRITABLE_MS_MAX, failure: 'the hubs do not pass on their logs; look at their node.log' })))
}

async function ensureAccount(
  admin: AdminClient, account: { readonly name: string; readonly apiKey: string; readonly tier: string }, options: { readonly signal: AbortSignal },
): Promise<string> {
  const publicKey = publicHalfOf(account.apiKey)
  const known = (await whenWritable(() => admin.accounts(), options)).find(({ account: id }) => id === toHex(accountIdOf(fromHex(publicKey)!)))
  const opened = known ?? await whenWritable(() => admin.openAccount({ publicKey, name: account.name, tier: account.tier }), options)
  if (opened.tier !== account.tier) await whenWritable(() => admin.setTier(opened.account, account.tier), options)
  await whenWritable(() => admin.addKey({ publicKey, account: opened.account, name: account.name }), options)
  return opened.account
}

/** Runs a write again while the hub says that it cannot write yet. */
async function whenWritable<T>(write: () => Promise<T>, options: { readonly signal: AbortSignal }): Promise<T> {
  const result = await pollUntil(async () => {
    try {
      return { value: await write() }
    } catch (error) {
      return undefinedWhileStarting(error)
    }
  }, { ...options, msMax: WRITABLE_MS_MAX, failure: 'the first hub takes no entries; look at its node.log' })
  return result.value
}

/** Other credits were given when the account was opened: those count. */
function unlessGiven(error: unknown): void {
  if (toTriforceError(error).code !== 'ENTRY_CONFLICT') throw error
}

function undefinedWhileStarting(error: unknown): undefined {
  if (isUnreachable(error)) return undefined
  const known = toTriforceError(error)
  if (known.spec.retry) return undefined
  throw error
}

async function adminOf({ api, dir }: { readonly api: string; readonly dir: string }): Promise<AdminClient> {
  const token = await loadAdminToken(dir)
  if (token === undefined) throw new CommandError(`${adminTokenPath(dir)} is missing; start again, and the hub makes a new one`)
  return createAdminClient(api, token)
}

function nodeKeyOf(peerId: string): string {
  return toHex(publicKeyOf(peerId)!)
}
