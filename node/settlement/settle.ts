/**
 * Settles a job at the hub that clears it: the contributor's half and what was seen become one receipt in the log.
 */
import type { DeviceHardware, HubLedger } from '../../ledger/interface.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import { receiptIdOf, type Observation } from '../../protocol/messages/receipt.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { JobSeen } from '../jobs/job-run.ts'
import type { IssuedTicket } from '../jobs/tickets.ts'

export interface SettleComponents {
  readonly ledger: Pick<HubLedger, 'appendReceipt'>
  readonly clock: Clock
  readonly log: Log
}

export interface Settled {
  readonly receiptId: Uint8Array
  readonly durability: 'replicated' | 'local'
  /** What the account pays. Local models are free. */
  readonly costMicroCredits: bigint
}

export interface SettleOptions {
  /** With a signature of this hub. */
  readonly issued: IssuedTicket
  readonly seen: Pick<JobSeen, 'usage' | 'finish' | 'outputHash' | 'observedMs' | 'half'>
  readonly path: Observation['path']
  /** What the contributor announced to compute with; unknown hardware earns nothing for this job. */
  readonly devices: readonly DeviceHardware[] | undefined
}

/**
 * Resolves when the receipt is durable. Where the half is not valid or does not fit what was seen, it is left out: the
 * contributor can show it in a dispute, but this hub does not sign beside it, and the client must not lose its receipt.
 * Throws what the ledger throws.
 */
export async function settleJob({ ledger, clock, log }: SettleComponents, { issued, seen, path, devices }: SettleOptions): Promise<Settled> {
  const observation: Observation = {
    observedMs: seen.observedMs, usage: { promptTokens: seen.usage.promptTokens, completionTokens: seen.usage.completionTokens }, outputHash: seen.outputHash, finish: seen.finish, path, endedAt: clock.now(),
  }
  const receipt = { ticket: issued.signed.body, observation }
  const append = async () => {
    if (seen.half === undefined) return await ledger.appendReceipt(receipt)
    try {
      return await ledger.appendReceipt({ ...receipt, half: seen.half }, devices)
    } catch (reason) {
      const error = toTriforceError(reason)
      const field = String(error.context['field'])
      if (error.code !== 'RECEIPT_INVALID' || !field.startsWith('half')) throw error
      log.warn('a contributor signed a half that is not valid, or something else than it sent', { field })
      return await ledger.appendReceipt(receipt)
    }
  }
  const { durability } = await append()
  return { receiptId: receiptIdOf(issued.ticket.jobId), durability, costMicroCredits: 0n }
}
