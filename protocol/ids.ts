/**
 * Names on the wire. Each carries the federation's network name and a version: two federations never talk by accident,
 * and a changed meaning gets a new number beside the old one.
 */

export interface ProtocolIds {
  readonly job: string
  readonly ledger: string
  readonly control: string
  readonly kad: string
  /** Gossip topic of capacity announcements. */
  readonly capacityTopic: string
}

export function protocolIds(network: string): ProtocolIds {
  return {
    job: `/triforce/${network}/job/1`,
    ledger: `/triforce/${network}/ledger/1`,
    control: `/triforce/${network}/control/1`,
    kad: `/triforce/${network}/kad/1`,
    capacityTopic: `/triforce/${network}/capacity/1`,
  }
}
