/** Compares what clients were told with what the logs say. Each problem is a sentence; none means that nothing was lost or invented. */
import type { AuditReport } from '../../ledger/interface.ts'
import type { LoggedFacts } from './log-reader.ts'
import type { Tally } from './tally.ts'

export interface Verdict {
  readonly problems: readonly string[]
  readonly lostAcks: number
  readonly doubleSpends: number
  readonly ackedCharges: bigint
  readonly loggedCharges: bigint
  readonly refunds: bigint
  /** Charged without an answer that the client saw. */
  readonly unseenCharges: bigint
}

/** `logs`: of each hub. */
export function judge(tally: Tally, logs: readonly LoggedFacts[], audits: readonly AuditReport[]): Verdict {
  const problems: string[] = []
  const say = (text: string) => { problems.push(text) }
  const [facts] = logs as readonly [LoggedFacts, ...LoggedFacts[]]

  let lostAcks = 0
  for (const [eid, durability] of tally.acked) {
    const missing = logs.flatMap((log, hub) => log.eids.has(eid) ? [] : [hub])
    if (missing.length === 0) continue
    lostAcks += 1
    say(`entry ${eid} was acknowledged (${durability}) and is not at hub ${missing.join(', ')}`)
  }

  let doubleSpends = 0
  let ackedCharges = 0n
  let loggedCharges = 0n
  let refunds = 0n
  let unseenCharges = 0n
  const chargedOf = new Map<string, string[]>()
  for (const [id, hold] of facts.holds) {
    const asked = tally.holds.get(id)
    if (asked === undefined) {
      say(`hold ${id} was never asked for`)
      continue
    }
    const [settled] = hold.settles
    if (settled === undefined) {
      if (asked.settled !== undefined) say(`hold ${id} was settled for ${asked.settled.charge} as its client was told, and the logs have no settlement`)
      continue
    }
    if (hold.settles.length > 1) {
      doubleSpends += 1
      say(`hold ${id} is settled ${hold.settles.length} times`)
    }
    if (asked.expireAcked) say(`hold ${id} was let go as its client was told, and is settled for ${settled.charge}`)
    if (settled.charge > 0n && !asked.settleAsked && !asked.progressAsked) say(`hold ${id} was charged ${settled.charge} and nobody asked for it`)
    if (asked.settled !== undefined && (asked.settled.charge !== settled.charge || asked.settled.quotaTokens !== settled.quotaTokens)) {
      say(`hold ${id} was settled for ${asked.settled.charge} as its client was told, and for ${settled.charge} in the logs`)
    }
    if (hold.refunded > settled.charge) say(`hold ${id} got back ${hold.refunded} of ${settled.charge}`)
    loggedCharges += settled.charge
    refunds += hold.refunded
    if (asked.settled === undefined) unseenCharges += settled.charge
    else ackedCharges += asked.settled.charge
    if (settled.charge > hold.refunded) chargedOf.set(asked.request, [...chargedOf.get(asked.request) ?? [], id])
  }
  for (const [request, charged] of chargedOf) {
    if (charged.length < 2) continue
    doubleSpends += 1
    say(`request ${request} is paid ${charged.length} times: holds ${charged.join(', ')}`)
  }
  for (const orphan of facts.orphans) say(`hold ${orphan} is in no log, but what became of it is`)
  if (loggedCharges !== ackedCharges + unseenCharges) say(`charges in the logs are ${loggedCharges}, acknowledged and unseen ones ${ackedCharges + unseenCharges}`)

  const grants = [...tally.grants.values()]
  const sum = (which: typeof grants) => which.reduce((total, { amount }) => total + amount, 0n)
  const least = sum(grants.filter(({ acked }) => acked))
  const most = sum(grants)
  if (facts.minted < least || facts.minted > most) say(`${facts.minted} were minted, not ${least} to ${most}`)

  for (const [hub, audit] of audits.entries()) {
    for (const problem of audit.problems) say(`audit at hub ${hub}: ${problem}`)
    if (audit.totals.minted !== facts.minted) say(`audit at hub ${hub}: minted ${audit.totals.minted}, and ${facts.minted} in the logs`)
    if (audit.totals.spent !== loggedCharges - refunds) say(`audit at hub ${hub}: spent ${audit.totals.spent}, and ${loggedCharges - refunds} in the logs`)
    if (Buffer.compare(audit.root, audits[0]!.root) !== 0) say(`hub ${hub} has another state root than hub 0`)
  }
  return { problems, lostAcks, doubleSpends, ackedCharges, loggedCharges, refunds, unseenCharges }
}
