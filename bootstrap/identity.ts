/**
 * The node's identity: one Ed25519 seed in `<dir>/node.key`. Whoever has the file is this node, so only its owner may
 * read it; with a passphrase the seed is sealed and the file alone is worth nothing.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { fromHex, toHex } from '../protocol/bytes.ts'
import { createSigner, SEED_BYTES } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import { peerIdOf } from '../protocol/peer-key.ts'
import type { Signer } from '../protocol/ports.ts'
import { openSeed, sealedSeedSchema, sealSeed } from './sealed-seed.ts'
import { createPrivateFile, isOpenToOthers, readTextFile } from './private-file.ts'

export interface Identity {
  /** 32 bytes; libp2p wants them, nobody else does. */
  readonly seed: Uint8Array
  readonly signer: Signer
  readonly peerId: string
}

export interface IdentityOptions {
  /** Opens a sealed key file, and seals a new one. */
  readonly passphrase?: string | undefined
}

const keyFileSchema = z.strictObject({
  v: z.literal(1),
  /** Of the key inside; shown to people and checked, so a file with a flipped byte is not another node. */
  peerId: z.string(),
  key: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('plain'), seed: z.string() }),
    sealedSeedSchema,
  ]),
})
type KeyFile = z.output<typeof keyFileSchema>

export function keyFilePath(dir: string): string {
  return join(dir, 'node.key')
}

export function identityOf(seed: Uint8Array): Identity {
  const signer = createSigner(seed)
  return { seed, signer, peerId: peerIdOf(signer.publicKey) }
}

/** Reads `<dir>/node.key`, or makes it where there is none. Throws IDENTITY_INVALID with a sentence that says the way out. */
export async function loadOrCreateIdentity(dir: string, options: IdentityOptions = {}): Promise<Identity> {
  const known = await loadIdentity(dir, options)
  if (known !== undefined) return known
  const identity = identityOf(new Uint8Array(randomBytes(SEED_BYTES)))
  const { passphrase } = options
  const file: KeyFile = {
    v: 1,
    peerId: identity.peerId,
    key: passphrase === undefined ? { type: 'plain', seed: toHex(identity.seed) } : await sealSeed(identity.seed, passphrase),
  }
  if (await createPrivateFile(keyFilePath(dir), `${JSON.stringify(file, null, 2)}\n`)) return identity
  // Another process made the file in the same moment; its key counts.
  const other = await loadIdentity(dir, options)
  if (other === undefined) throw invalid(keyFilePath(dir), 'was removed while it was read; try again')
  return other
}

/** Gives undefined where there is no key file. */
export async function loadIdentity(dir: string, options: IdentityOptions = {}): Promise<Identity | undefined> {
  const path = keyFilePath(dir)
  const file = await readKeyFile(path)
  if (file === undefined) return undefined
  const seed = file.key.type === 'plain' ? fromHex(file.key.seed) : await unsealed(path, file.key, options.passphrase)
  if (seed?.byteLength !== SEED_BYTES) throw invalid(path, 'does not hold a key; restore it from your backup')
  const identity = identityOf(seed)
  if (identity.peerId !== file.peerId) throw invalid(path, 'was changed: its key and its peer id differ; restore it from your backup')
  return identity
}

/** What can be told about a key file without its passphrase; undefined where there is none. */
export async function inspectKeyFile(dir: string): Promise<{ readonly peerId: string; readonly sealed: boolean } | undefined> {
  const file = await readKeyFile(keyFilePath(dir))
  return file === undefined ? undefined : { peerId: file.peerId, sealed: file.key.type === 'sealed' }
}

async function readKeyFile(path: string): Promise<KeyFile | undefined> {
  const text = await readTextFile(path)
  if (text === undefined) return undefined
  if (await isOpenToOthers(path)) throw invalid(path, `can be read by other users of this machine; close it with: chmod 600 ${path}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid(path, 'is not JSON; restore it from your backup, or move it away to get a new identity')
  }
  const parsed = keyFileSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const field = parsed.error.issues[0]?.path.map(String).join('.') || 'its top level'
  throw invalid(path, `is damaged at ${field}; restore it from your backup, or move it away to get a new identity`)
}

async function unsealed(path: string, key: z.output<typeof sealedSeedSchema>, passphrase: string | undefined): Promise<Uint8Array> {
  if (passphrase === undefined) {
    throw invalid(path, 'is sealed with a passphrase; set TRIFORCE_PASSPHRASE or run the command in a terminal')
  }
  const seed = await openSeed(key, passphrase)
  if (seed === undefined) throw invalid(path, 'does not open: the passphrase is wrong, or the file was changed')
  return seed
}

function invalid(path: string, problem: string): TriforceError {
  return new TriforceError('IDENTITY_INVALID', {}, { detail: `the key file ${path} ${problem}` })
}
