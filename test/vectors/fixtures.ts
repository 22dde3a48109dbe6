/** Keys, accounts and a federation that are the same for ever, for test vectors. Their seeds are public: never use them. */
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { createSigner, sha256 } from '../../protocol/crypto.ts'
import { readFederation, signFederation, writeFederation, type Federation } from '../../protocol/federation.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Signer } from '../../protocol/ports.ts'
import type { Json } from './format.ts'

export const NETWORK = 'vectors'
/** 2026-01-02 03:04:05.678 UTC. */
export const T0 = 1_767_323_045_678
export const DAY0 = Math.floor(T0 / 86_400_000)

/** `length` bytes that follow from a name: the beginning of its SHA-256. */
export function named(name: string, length = 32): Uint8Array {
  return sha256(Buffer.from(`triforce/vectors/${name}`, 'utf8')).slice(0, length)
}

const keyNames = ['hub 0', 'hub 1', 'hub 2', 'log 0', 'log 1', 'log 2', 'log 0 again', 'contributor', 'Ada', 'Ada laptop', 'Grace'] as const
export type KeyName = typeof keyNames[number]

const signers = new Map<KeyName, Signer>(keyNames.map((name) => [name, createSigner(named(name))]))

export function signerOf(name: KeyName): Signer {
  return signers.get(name)!
}

export const hubSigners = [signerOf('hub 0'), signerOf('hub 1'), signerOf('hub 2')]
export const hubKeys = hubSigners.map(({ publicKey }) => publicKey)
export const ada = accountIdOf(signerOf('Ada').publicKey)
export const grace = accountIdOf(signerOf('Grace').publicKey)

const draft: Federation = {
  v: 1, network: NETWORK, kind: 'public', createdAt: T0,
  hubs: hubKeys.map((key, index) => ({ name: `hub${index}`, peerId: peerIdOf(key), addresses: [`/ip4/192.0.2.${1 + index}/tcp/4001`] })),
}
export const federationText = writeFederation(draft, hubSigners.map((signer) => signFederation(draft, signer)))
export const federation = readFederation(federationText)

export function keysJson(): { readonly [name: string]: Json } {
  return Object.fromEntries(keyNames.map((name) => {
    const { publicKey } = signerOf(name)
    return [name, { seed: toHex(named(name)), publicKey: toHex(publicKey), peerId: peerIdOf(publicKey) }]
  }))
}
