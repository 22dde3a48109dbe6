/**
 * API keys. A key is `tf-` and 32 random bytes in base58; the bytes are the seed of an Ed25519 key, and only its
 * public half is written to the ledger. So a hub can check a key without being able to make one from what it stores,
 * and a consumer can prove that it holds a key without sending it.
 */
import { base58btc } from 'multiformats/bases/base58'
import { createSigner, SEED_BYTES, sha256 } from './crypto.ts'
import type { Signer } from './ports.ts'

const PREFIX = 'tf-'

export function apiKeyFromSeed(seed: Uint8Array): string {
  return PREFIX + base58btc.encode(seed).slice(1)
}

/** Gives undefined where the text cannot be an API key. */
export function apiKeySigner(apiKey: string): Signer | undefined {
  if (!apiKey.startsWith(PREFIX) || apiKey.length > 64) return undefined
  try {
    const seed = base58btc.decode(`z${apiKey.slice(PREFIX.length)}`)
    return seed.byteLength === SEED_BYTES ? createSigner(seed) : undefined
  } catch {
    return undefined
  }
}

/** Account id: the first 16 bytes of the hash of the account's public key. */
export function accountIdOf(publicKey: Uint8Array): Uint8Array {
  return sha256(Buffer.from('triforce/account/1\0', 'utf8'), publicKey).slice(0, 16)
}

/** Names an API key where its public half would be too long: the first 16 bytes of the hash of its public key. */
export function keyIdOf(publicKey: Uint8Array): Uint8Array {
  return sha256(Buffer.from('triforce/key/1\0', 'utf8'), publicKey).slice(0, 16)
}
