/**
 * Settles a job at the hub that clears it: the contributor's half and what was seen become one receipt in the log.
 */
import type { AppendResult, DeviceHardware, HubLedger } from '../../ledger/interface.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { receiptHalfSchema, receiptIdOf, ticketHashOf, type Observation, type Receipt } from '../../protocol/messages/receipt.ts'
import type { Clock, Log, Signer } from '../../protocol/ports.ts'
import { decode } from '../../protocol/codec.ts'
import { signDocument, type Signed } from '../../protocol/signed.ts'
import type { JobSeen } from '../jobs/job-run.ts'
import type { IssuedTicket } from '../jobs/tickets.ts'

export interface SettleComponents {
  readonly ledger: Pick<HubLedger, 'appendReceipt'>
  readonly signer: Signer
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
  readonly issued: IssuedTicket
  readonly seen: Pick<JobSeen, 'usage' | 'finish' | 'outputHash' | 'observedMs' | 'half'>
  readonly path: Observation['path']
  /** What the contributor announced to compute with; unknown hardware earns nothing for this job. */
  readonly devices: readonly DeviceHardware[] | undefined
}

/**
 * Resolves when the receipt is durable. Where the half does not fit what was seen, it is left out: the contributor can
 * show it in a dispute, but this hub does not sign beside it.
 * Throws what the ledger throws.
 */
export async function settleJob(components: SettleComponents, { issued, seen, path, devices }: SettleOptions): Promise<Settled> {
  const { ledger, signer, clock } = components
  const { ticket, signed } = issued
  const observation: Observation = {
    v: 1, ticketHash: ticketHashOf(signed), jobId: ticket.jobId, hub: signer.publicKey, observedMs: seen.observedMs,
    observedUsage: seen.usage, outputHash: seen.outputHash, finish: seen.finish, path, endedAt: clock.now(),
  }
  const half = seen.half !== undefined && halfFits(seen.half, observation, components.log) ? seen.half : undefined
  const receipt = { ticket: signed, observation: signDocument(signer, 'observation', observation) }
  const { durability } = half === undefined ? await ledger.appendReceipt(receipt) : await appendWithHalf(components, { ...receipt, half }, devices)
  return { receiptId: receiptIdOf(ticket.jobId), durability, costMicroCredits: 0n }
}

/** The ledger checks the half's signature and its names; a half that it refuses must not cost the client the receipt. */
async function appendWithHalf(
  { ledger, log }: SettleComponents, { half, ...receipt }: Receipt, devices: readonly DeviceHardware[] | undefined,
): Promise<AppendResult> {
  try {
    return await ledger.appendReceipt({ ...receipt, ...(half === undefined ? {} : { half }) }, devices)
  } catch (reason) {
    const error = toTriforceError(reason)
    if (error.code !== 'RECEIPT_INVALID' || !String(error.context['field']).startsWith('half')) throw error
    log.warn('a contributor signed a half that is not valid', { field: String(error.context['field']) })
    return ledger.appendReceipt(receipt)
  }
}

/** Same text, same tokens, same end. */
function halfFits(half: Signed, observation: Observation, log: Log): boolean {
  try {
    const said = decode(receiptHalfSchema, half.body)
    const isSame = bytesEqual(said.outputHash, observation.outputHash)
      && said.usage.completionTokens === observation.observedUsage.completionTokens
      && said.finish === observation.finish
    if (!isSame) throw new TriforceError('RECEIPT_INVALID')
    return true
  } catch (error) {
    log.warn('a contributor signed something else than it sent', { code: toTriforceError(error).code })
    return false
  }
}
