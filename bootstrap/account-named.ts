/** An account by its name or id, as people give it. */
import type { AccountView } from './api-schemas.ts'
import { usageError } from './command-error.ts'

/** Throws wrong usage where several have the name. */
export function accountNamed(accounts: readonly AccountView[], wanted: string): AccountView | undefined {
  const byId = accounts.find((account) => account.account === wanted)
  const byName = accounts.filter((account) => account.name === wanted)
  if (byId === undefined && byName.length > 1) {
    throw usageError(`${byName.length} accounts are called "${wanted}"; give the id of one (see "triforce key list")`)
  }
  return byId ?? byName[0]
}
