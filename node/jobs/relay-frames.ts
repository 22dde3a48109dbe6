/** What a hub that relays tells of a job beside its text, as frames and back as events. Amounts are µcr. */
import { concatBytes } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { JobAsk, JobTell } from '../../protocol/messages/job.ts'
import type { PlacedEvent, Served } from '../gateway.ts'

type PlacedTell = Extract<JobTell, { t: 'placed' }>
type ServedTell = NonNullable<Extract<JobTell, { t: 'end' }>['relayed']>

/** What the authorization of a relayed job is signed for. A request is one item of CBOR, so where it ends is not in doubt. */
export function relayedBody({ request, options }: Pick<Extract<JobAsk, { t: 'relay' }>, 'request' | 'options'>): Uint8Array {
  return options === undefined ? request : concatBytes(request, options)
}

export function placedTell({ price, remainingMicroCredits, host, hostName, attempts, model, vendor, digest, quantization, check, after }: PlacedEvent): PlacedTell {
  return {
    t: 'placed', host, hostName, attempts, model, ...(vendor === undefined ? {} : { vendor }),
    ...(digest === undefined ? {} : { digest }), ...(quantization === undefined ? {} : { quantization }), ...(check === undefined ? {} : { check }), ...(after === undefined ? {} : { after }),
    ...(price === undefined ? {} : { price: { prompt: price.promptMicroCredits.toString(), completion: price.completionMicroCredits.toString() } }),
    ...(remainingMicroCredits === undefined ? {} : { remaining: remainingMicroCredits.toString() }),
  }
}

export function placedEvent({ price, remaining, host, hostName, attempts, model, vendor, digest, quantization, check, after }: PlacedTell): PlacedEvent {
  return {
    type: 'placed', host, hostName, attempts, model, ...(vendor === undefined ? {} : { vendor }),
    ...(digest === undefined ? {} : { digest }), ...(quantization === undefined ? {} : { quantization }), ...(check === undefined ? {} : { check }), ...(after === undefined ? {} : { after }),
    ...(price === undefined ? {} : { price: { promptMicroCredits: BigInt(price.prompt), completionMicroCredits: BigInt(price.completion) } }),
    ...(remaining === undefined ? {} : { remainingMicroCredits: BigInt(remaining) }),
  }
}

/** Throws INTERNAL for an answer that no ledger knows: a hub relays no such one. */
export function servedTell({ costMicroCredits, remainingMicroCredits, receiptId, durability, parts, ...served }: Served): ServedTell {
  if (receiptId === undefined || durability === 'none') throw new TriforceError('INTERNAL', { problem: 'relayed without a receipt' })
  return {
    ...served, ...(parts === undefined ? {} : { parts: [...parts] }), receiptId, durability, costMicroCredits: Number(costMicroCredits), ...(remainingMicroCredits === undefined ? {} : { remaining: remainingMicroCredits.toString() }),
  }
}

export function servedOf({ costMicroCredits, remaining, stoppedBy, parts, ...served }: ServedTell): Served {
  return {
    ...served, costMicroCredits: BigInt(costMicroCredits), ...(remaining === undefined ? {} : { remainingMicroCredits: BigInt(remaining) }),
    ...(stoppedBy === undefined ? {} : { stoppedBy }),
    ...(parts === undefined ? {} : { parts: parts.map(({ receiptId, ...part }) => ({ ...part, ...(receiptId === undefined ? {} : { receiptId }) })) }),
  }
}
