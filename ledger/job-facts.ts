/** Facts of jobs and of standing by, as the node tells them: checked, given their rate, logged. Any hub may log them. */
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import { toTriforceError } from '../protocol/errors.ts'
import type { Clock, Log, Signer } from '../protocol/ports.ts'
import type { Signed } from '../protocol/signed.ts'
import { admitReceipt, admitTicket, type AdmissionOptions } from './admission.ts'
import { encodeTicket, type EncodedEntry } from './entries/entry.ts'
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

export type JobFacts = Pick<HubLedger, 'logTicket' | 'appendReceipt' | 'presence'>

/** Issued tickets whose signature is remembered as our own: more than a hub has jobs at once. */
const TICKETS_ISSUED_MAX = 16_384

export function createJobFacts({ clock, hub, log, submit, signer }: JobFactsComponents, { network }: { readonly network: string }): JobFacts {
  const issued = new Map<string, Uint8Array>()
  const admission: AdmissionOptions = {
    network, hubKey: signer.publicKey,
    isOwnTicket: (jobId, ticket) => {
      const signature = issued.get(toHex(jobId))
      return signature !== undefined && bytesEqual(signature, ticket.signature)
    },
  }

  /** Nobody waits for it. */
  function logLazily(what: string, intent: Intent): void {
    submit(intent, { lazy: true }).catch((error: unknown) => { log.debug(`${what} not logged`, { code: toTriforceError(error).code }) })
  }

  return {
    logTicket: (signed) => {
      const { jobId } = admitTicket(signed, { ...admission, isOwnTicket: () => true })
      if (issued.size >= TICKETS_ISSUED_MAX) issued.delete(issued.keys().next().value!)
      issued.set(toHex(jobId), signed.signature)
      // Where it is not logged on its own, its receipt brings it.
      logLazily('ticket', intentOf(encodeTicket({ jobId, ticket: signed })))
    },
    appendReceipt: async (receipt, devices = []) => {
      const announced = devices.map(announcedOf)
      const admitted = admitReceipt(receipt, admission, ({ contributor, account }, half) => (
        receiptRate(hub, { contributor, payer: account, half, announced }, clock.now())
      ))
      return publicResult(await submit({ ...intentOf(admitted.receipt), same: (logged) => sameFacts(logged, admitted.receipt) }, { before: admitted.ticket }))
    },
    presence: (fact) => {
      logLazily('presence', decidePresence(hub, { ...fact, devices: fact.devices.map(announcedOf) }))
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
  const same = (a: Signed | undefined, b: Signed | undefined) => a === b || a !== undefined && b !== undefined
    && bytesEqual(a.body, b.body) && bytesEqual(a.signature, b.signature) && bytesEqual(a.key, b.key)
  return same(logged.half, entry.half) && same(logged.observation, entry.observation)
}
