/** A registration as its owner sees it: what it earns by the ledger's tables, whether pay is held back, what is missing. */
import type { HubLedger } from '../../ledger/interface.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { CheckState, RegistrationInfo, Shortfall } from '../../protocol/messages/contributor.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import { devicesOf } from '../capacity/devices.ts'
import type { CapacityTable } from '../capacity/table.ts'
import type { Registration } from './registry.ts'
import { shortfallsOf } from './requirements.ts'

export interface RegistrationViewComponents {
  readonly ledger: Pick<HubLedger, 'account' | 'earningRate' | 'lending'>
  readonly table: Pick<CapacityTable, 'get'>
  readonly isConnected: (peer: string) => boolean
  /** What checks of this machine have shown; the key is the node's. */
  readonly checkOf: (node: Uint8Array) => CheckState
}

/** Part of a newcomer's pay that is held back. */
const BACK_PERCENT = 50

/** Throws INVALID_API_KEY where the account is not there. */
export function viewOf({ ledger, table, isConnected, checkOf }: RegistrationViewComponents, registration: Registration): RegistrationInfo {
  const { id, node, claims, registeredAt } = registration
  const account = ledger.account(registration.account)
  const lending = ledger.lending(registration.account)
  if (account === undefined || lending === undefined) throw new TriforceError('INVALID_API_KEY')
  const { name, hardware, availability, models, sentAt } = claims
  const { firstAt, ...probation } = lending.probation
  const peer = node === undefined ? undefined : peerIdOf(node)
  return {
    id, account: account.id, accountName: account.name, tier: account.tier, ...(node === undefined ? {} : { node }),
    name, hardware, availability, models,
    devices: devicesOf(hardware.gpus).flatMap(({ device, name: gpu, vramBytes }) => {
      const rate = ledger.earningRate(vramBytes === 0 ? undefined : { name: gpu, vramBytes }, account.tier)
      return rate === undefined ? [] : [{ device, class: rate.class, busyPerHour: rate.busyMicroCreditsPerHour.toString(), standbyPerHour: rate.standbyMicroCreditsPerHour.toString() }]
    }),
    probation: { ...probation, ...(firstAt === undefined ? {} : { firstAt }), backPercent: BACK_PERCENT },
    check: node === undefined ? unchecked(undefined) : checkOf(node),
    missing: [...missingHardware(claims), ...missingModels(models, peer === undefined ? undefined : table.get(peer)?.capacity.models)],
    registeredAt, updatedAt: sentAt, connected: peer !== undefined && isConnected(peer),
  }
}

/** While nobody checks machines. */
export function unchecked(_node: Uint8Array | undefined): CheckState {
  return { state: 'claimed', text: 'what the machine says of itself; nobody has measured it yet' }
}

/** Of a machine that was only announced no more is known than its GPUs. */
function missingHardware({ do: act, hardware }: Registration['claims']): readonly Shortfall[] {
  const all = shortfallsOf(hardware)
  return act === 'register' ? all : [nodeIsMissing, ...all.filter(({ what }) => what === 'gpu')]
}

const nodeIsMissing: Shortfall = {
  what: 'node', level: 'minimum', have: 'no node', need: 'a node that runs on this machine',
  fix: 'on the machine itself: triforce start --mode contributor --federation FILE --key YOUR_API_KEY',
}

/** Models that the registration names and the machine does not offer; nothing while it announces nothing at all. */
function missingModels(wanted: readonly string[], offered: readonly { readonly id: string }[] | undefined): Shortfall[] {
  if (offered === undefined) return []
  return wanted.filter((model) => !offered.some(({ id }) => id === model)).map((model) => ({
    what: 'models', level: 'minimum', have: 'not offered', need: model, fix: `triforce models pull ${model}`,
  }))
}
