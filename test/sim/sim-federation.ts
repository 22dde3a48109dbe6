/** The same federation in every run, and a memory of checked signatures: checking one again would only take time. */
import { hash } from 'node:crypto'
import sodium from 'sodium-native'
import { PUBLIC_KEY_BYTES } from '../../protocol/crypto.ts'
import { readFederation, signFederation, writeFederation, type Federation } from '../../protocol/federation.ts'
import { testKey, type TestFederation } from '../support/federation.ts'

let made: TestFederation | undefined

export function simFederation(): TestFederation {
  if (made !== undefined) return made
  const hubs = [1, 2, 3].map((number) => testKey(new Uint8Array(32).fill(number)))
  const draft: Federation = {
    v: 1, network: 'sim', kind: 'local', createdAt: 1_800_000_000_000,
    hubs: hubs.map((hub, index) => ({ name: `hub${index + 1}`, peerId: hub.peerId, addresses: [`/ip4/127.0.0.1/tcp/${1 + index}`] })),
  }
  const text = writeFederation(draft, hubs.map((hub) => signFederation(draft, hub.signer)))
  made = { federation: readFederation(text), text, hubs }
  return made
}

let results = new Map<string, boolean>()
let installed = false

const entryOf = (publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array) =>
  `${latin1(publicKey)}${latin1(signature)}${hash('sha256', data, 'binary')}`
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

/**
 * Verifying is a pure function of key, bytes and signature, so each triple needs to be computed once in a run, and a
 * signature that was just made is known to fit. Signatures stay real.
 */
export function rememberSignatures(): void {
  results = new Map()
  if (installed) return
  installed = true
  const { crypto_sign_detached: sign, crypto_sign_verify_detached: verify } = sodium
  sodium.crypto_sign_detached = (signature, data, secretKey) => {
    sign(signature, data, secretKey)
    // A secret key of libsodium ends with its public key.
    results.set(entryOf(secretKey.subarray(-PUBLIC_KEY_BYTES), data, signature), true)
  }
  sodium.crypto_sign_verify_detached = (signature, data, publicKey) => {
    const entry = entryOf(publicKey, data, signature)
    const known = results.get(entry)
    if (known !== undefined) return known
    const fits = verify(signature, data, publicKey)
    results.set(entry, fits)
    return fits
  }
}
