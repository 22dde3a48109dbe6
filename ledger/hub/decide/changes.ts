/** Signing a change that two hubs must sign: a new revision of a table, a grant above the daily budget. */
import { toHex } from '../../../protocol/bytes.ts'
import type { Signed } from '../../../protocol/signed.ts'
import { changeIdOf, readAdminChange } from '../../admin-change.ts'
import { encodeEntry } from '../../entries/entry.ts'
import { newestRev } from '../../tables/lookup.ts'
import type { Decision, Intent } from '../events.ts'
import type { HubState } from '../hub-state.ts'
import { accountStateOf, log, nothing, refuse, unknownAccount } from './common.ts'

/** `document` is signed by this hub; the caller has checked or made the signature. Throws FRAME_MALFORMED where it is no AdminChange. */
export function decideApproval(hub: HubState, document: Signed): Intent {
  const { change: what, network } = readAdminChange(document.body)
  const change = changeIdOf(document.body)
  const id = toHex(change)
  const encoded = encodeEntry({ k: 'Approval', hub: hub.me, change, document })
  return {
    eid: encoded.entry.eid,
    decide: () => {
      if (network !== hub.network) return refuse('ENTRY_INVALID', { problem: 'another network' }, `the change is for the network "${network}", not "${hub.network}"`)
      if (hub.state.changes.get(id)?.hubs.has(hub.me) === true) return nothing
      const problem = what.type === 'grant' ? grantProblem(hub, what.account) : tableProblem(hub, what.table, what.rev, id)
      return problem ?? log(encoded)
    },
  }
}

function grantProblem(hub: HubState, account: Uint8Array): Decision | undefined {
  return accountStateOf(hub, toHex(account)) === undefined ? unknownAccount(toHex(account)) : undefined
}

/** A hub signs one change for each revision, and the next revision only: so no two of them can ever hold. */
function tableProblem(hub: HubState, table: 'prices' | 'tiers' | 'hardware', rev: number, id: string): Decision | undefined {
  const next = newestRev(hub.state, table) + 1
  if (rev !== next) {
    return refuse('ENTRY_INVALID', { problem: 'wrong revision', table, rev, next }, `the next revision of the ${table} table is ${next}, not ${rev}: make the change anew from the newest table`)
  }
  const signed = hub.state.signed.get(`${hub.me}/${table}/${rev}`)
  if (signed === undefined || signed === id) return undefined
  return refuse('ENTRY_CONFLICT', { kind: 'Approval', table, rev, signed }, `this hub has signed another change for revision ${rev} of the ${table} table: let the other hubs sign that one too`)
}
