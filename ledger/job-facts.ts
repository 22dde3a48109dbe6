/** Facts of jobs and of standing by, as the node tells them: checked, given their rate, logged. Any hub may log them. */
import { bytesEqual } from '../protocol/bytes.ts'
import { toTriforceError } from '../protocol/errors.ts'
import type { Clock, Log, Signer } from '../protocol/ports.ts'
import { admitReceipt } from './admission.ts'
import { encodeReceipt, receiptIn, type EncodedEntry, type EntryOf } from './entries/entry.ts'
import { decidePresence, receiptRate, type AnnouncedDevice } from './hub/decide/earning.ts'
import type { Intent } from './hub/events.ts'
import type { HubState } from './hub/hub-state.ts'
import type { DeviceHardware, HubLedger } from './interface.ts'
import { publicResult } from './orders.ts'
import { intentOf, type SubmitOptions, type Submitted } from './log-writer.ts'

export interface JobFactsComponents {
  readonly clock: Clock
  readonly hub: HubState
  readonly log: Log
  readonly submit: (intent: Intent, options?: SubmitOptions) => Promise<Submitted>
  /** The hub's node key. */
  readonly signer: Signer
}

export type JobFacts = Pick<HubLedger, 'appendReceipt' | 'presence'>

export function createJobFacts({ clock, hub, log, submit, signer }: JobFactsComponents, { network }: { readonly network: string }): JobFacts {
  const admission = { network, hubKey: signer.publicKey }

  return {
    appendReceipt: async (receipt, devices = []) => {
      const announced = devices.map(announcedOf)
      const admitted = admitReceipt(receipt, admission, ({ contributor, account }, half) => (
        receiptRate(hub, { contributor, payer: account, half, announced }, clock.now())
      ))
      return publicResult(await submit({ ...intentOf(admitted), same: (logged) => sameFacts(logged, admitted) }))
    },
    presence: (fact) => {
      // Nobody waits for it.
      submit(decidePresence(hub, { ...fact, devices: fact.devices.map(announcedOf) }), { lazy: true })
        .catch((error: unknown) => { log.debug('presence not logged', { code: toTriforceError(error).code }) })
    },
  }
}

/** A processor alone has no memory of its own that counts. */
function announcedOf({ device, name, vramBytes }: DeviceHardware): AnnouncedDevice {
  return { device, hardware: vramBytes === 0 ? undefined : { name, vramBytes } }
}

/** The rate is of the moment at which it was logged first. */
function sameFacts({ entry: logged }: EncodedEntry, { entry }: EncodedEntry): boolean {
  if (logged.k !== 'JobReceipt' || entry.k !== 'JobReceipt') return false
  const facts = (receipt: EntryOf<'JobReceipt'>) => encodeReceipt(receipt, receiptIn(receipt)).bytes
  return bytesEqual(facts(logged), facts(entry))
}
