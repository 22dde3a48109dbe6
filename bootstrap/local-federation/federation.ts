/**
 * The federation file of a local federation. All three hub keys lie on this machine, so it is signed here, and signed
 * again when a port had to move. Keys and network stay, for the ledgers belong to them.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { TriforceError } from '../../protocol/errors.ts'
import { readFederation, signFederation, writeFederation, type Federation } from '../../protocol/federation.ts'
import { readFederationText, writeFederationFile } from '../federation-file.ts'
import { loadOrCreateIdentity, type Identity, type IdentityOptions } from '../identity.ts'
import type { LocalLayout, NodePlace } from './layout.ts'
import { nextFreePort } from './ports.ts'

export interface LocalFederationOptions extends IdentityOptions {
  /** Where the search for the hubs' libp2p ports begins; ports of an earlier run are tried first. */
  readonly p2pPort: number
  readonly now: number
}

export interface LocalFederation {
  readonly federation: Federation
  /** True where the file was written anew, because it was missing or ports moved. */
  readonly written: boolean
}

/** Ports in `taken` are not used; the chosen ones are added. */
export async function prepareLocalFederation(layout: LocalLayout, taken: Set<number>, options: LocalFederationOptions): Promise<LocalFederation> {
  const identities = await Promise.all(layout.hubs.map((hub) => loadOrCreateIdentity(hub.dir, options)))
  const known = existsSync(layout.federationFile) ? readFederation(await readFederationText(layout.federationFile)) : undefined
  if (known !== undefined) checkKeys(known, identities, layout)

  const addresses: string[] = []
  for (const index of layout.hubs.keys()) {
    const before = portOf(known?.hubs[index]?.addresses[0])
    addresses.push(loopbackAddress(await nextFreePort(before ?? options.p2pPort, taken)))
  }
  if (known?.hubs.every((hub, index) => hub.addresses.length === 1 && hub.addresses[0] === addresses[index]) === true) {
    return { federation: known, written: false }
  }
  const federation: Federation = {
    v: 1,
    // A random part keeps two local federations of one machine, or of one office, apart.
    network: known?.network ?? `local-${randomBytes(3).toString('hex')}`,
    kind: 'local',
    createdAt: options.now,
    hubs: layout.hubs.map((hub, index) => ({ name: hub.name, peerId: identities[index]!.peerId, addresses: [addresses[index]!] })),
  }
  await writeFederationFile(layout.federationFile, signByAll(federation, identities))
  return { federation, written: true }
}

/** Text of a federation file that every hub of this machine signed. */
export function signByAll(federation: Federation, identities: readonly Identity[]): string {
  return writeFederation(federation, identities.map((identity) => signFederation(federation, identity.signer)))
}

export function loopbackAddress(port: number): string {
  return `/ip4/127.0.0.1/tcp/${port}`
}

export function portOf(address: string | undefined): number | undefined {
  const text = /\/tcp\/(\d+)$/.exec(address ?? '')?.[1]
  return text === undefined ? undefined : Number(text)
}

function checkKeys(known: Federation, identities: readonly Identity[], layout: LocalLayout): void {
  if (known.kind !== 'local') {
    throw invalid(`${layout.federationFile} belongs to a federation of several machines; give "up" another --dir`)
  }
  const strange = layout.hubs.find((_: NodePlace, index) => known.hubs[index]?.peerId !== identities[index]?.peerId)
  if (strange === undefined) return
  throw invalid(`the key in ${strange.dir} is not the one that ${layout.federationFile} names; `
    + `restore the folder from a backup, or move ${layout.dir} away to begin a new federation`)
}

function invalid(detail: string): TriforceError {
  return new TriforceError('FEDERATION_INVALID', {}, { detail })
}
