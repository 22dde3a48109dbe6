/** The same federation in every run, and a memory of checked signatures: checking one again would only take time. */
import crypto, { createPublicKey, type KeyObject } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
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

type Bytes = Parameters<typeof crypto.sign>[1]
let results = new Map<string, boolean>()
const names = new WeakMap<KeyObject, string>()
let installed = false

function nameOf(key: KeyObject): string {
  const known = names.get(key)
  if (known !== undefined) return known
  const name = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' }).toString('latin1')
  names.set(key, name)
  return name
}

const entryOf = (key: KeyObject, data: Bytes, signature: Uint8Array) =>
  `${nameOf(key)}${Buffer.from(signature).toString('latin1')}${crypto.hash('sha256', data, 'latin1' as never)}`

/**
 * Verifying is a pure function of key, bytes and signature, so each triple needs to be computed once in a run, and a
 * signature that was just made is known to fit. Signatures stay real.
 */
export function rememberSignatures(): void {
  results = new Map()
  if (installed) return
  installed = true
  const { sign, verify } = crypto
  const module = crypto as { sign: unknown; verify: unknown }
  module.sign = (algorithm: null, data: Bytes, key: KeyObject) => {
    const signature = sign(algorithm, data, key)
    results.set(entryOf(key, data, signature), true)
    return signature
  }
  module.verify = (algorithm: null, data: Bytes, key: KeyObject, signature: Uint8Array) => {
    const entry = entryOf(key, data, signature)
    const known = results.get(entry)
    if (known !== undefined) return known
    const fits = verify(algorithm, data, key, signature)
    results.set(entry, fits)
    return fits
  }
  syncBuiltinESMExports()
}
