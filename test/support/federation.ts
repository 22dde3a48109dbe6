/** Keys and a signed federation for tests; ports are free ones unless addresses are given. */
import { randomBytes } from 'node:crypto'
import { createSigner } from '../../protocol/crypto.ts'
import { readFederation, signFederation, writeFederation, type Federation } from '../../protocol/federation.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Signer } from '../../protocol/ports.ts'

export interface TestKey {
  readonly seed: Uint8Array
  readonly signer: Signer
  readonly peerId: string
}

export function testKey(seed: Uint8Array = new Uint8Array(randomBytes(32))): TestKey {
  const signer = createSigner(seed)
  return { seed, signer, peerId: peerIdOf(signer.publicKey) }
}

export interface TestFederation {
  readonly federation: Federation
  readonly text: string
  readonly hubs: readonly TestKey[]
}

/** The text of the same federation with its hubs at other addresses. */
export function federationAt({ federation, hubs }: TestFederation, addresses: readonly string[]): string {
  const moved: Federation = { ...federation, hubs: federation.hubs.map((hub, index) => ({ ...hub, addresses: [addresses[index]!] })) }
  return writeFederation(moved, hubs.map((hub) => signFederation(moved, hub.signer)))
}

export function testFederation(options: { addresses?: readonly string[]; network?: string; kind?: Federation['kind'] } = {}): TestFederation {
  const hubs = [testKey(), testKey(), testKey()]
  const draft: Federation = {
    v: 1,
    network: options.network ?? `test-${randomBytes(4).toString('hex')}`,
    kind: options.kind ?? 'local',
    createdAt: Date.now(),
    hubs: hubs.map((hub, index) => ({ name: `hub${index + 1}`, peerId: hub.peerId, addresses: [options.addresses?.[index] ?? `/ip4/127.0.0.1/tcp/${1 + index}`] })),
  }
  const text = writeFederation(draft, hubs.map((hub) => signFederation(draft, hub.signer)))
  return { federation: readFederation(text), text, hubs }
}
