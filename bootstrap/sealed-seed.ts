/** Sealing a seed under a passphrase: NaCl secretbox with a key from scrypt. */
import { randomBytes, scrypt } from 'node:crypto'
import nacl from 'tweetnacl'
import { z } from 'zod'
import { fromHex, toHex } from '../protocol/bytes.ts'

const KEY_BYTES = 32
const SALT_BYTES = 16

// 128 * N * r = 32 MiB and about 0.1 s: dear for a guesser, cheap once at start.
const SCRYPT_NEW = { n: 32_768, r: 8, p: 1 }
// Room for the dearest cost that the schema below lets through: 128 * 131,072 * 16 bytes and a little.
const SCRYPT_MEMORY_BYTES_MAX = 320 * 1024 * 1024

export const sealedSeedSchema = z.strictObject({
  type: z.literal('sealed'),
  // The cost stands in the file, so that it can grow later. Its bounds keep a changed file from taking all memory.
  scrypt: z.strictObject({
    n: z.number().int().min(SCRYPT_NEW.n).max(131_072).refine((n) => Number.isInteger(Math.log2(n)), 'must be a power of two'),
    r: z.number().int().min(1).max(16),
    p: z.number().int().min(1).max(4),
    salt: z.string(),
  }),
  nonce: z.string(),
  box: z.string(),
})
export type SealedSeed = z.output<typeof sealedSeedSchema>

export async function sealSeed(seed: Uint8Array, passphrase: string): Promise<SealedSeed> {
  const salt = new Uint8Array(randomBytes(SALT_BYTES))
  const nonce = new Uint8Array(randomBytes(nacl.secretbox.nonceLength))
  const key = await keyFrom(passphrase, salt, SCRYPT_NEW)
  return {
    type: 'sealed',
    scrypt: { ...SCRYPT_NEW, salt: toHex(salt) },
    nonce: toHex(nonce),
    box: toHex(nacl.secretbox(seed, nonce, key)),
  }
}

/** Gives undefined where the passphrase is wrong or the sealed bytes were changed; the two cannot be told apart. */
export async function openSeed(sealed: SealedSeed, passphrase: string): Promise<Uint8Array | undefined> {
  const salt = fromHex(sealed.scrypt.salt)
  const nonce = fromHex(sealed.nonce)
  const box = fromHex(sealed.box)
  if (salt === undefined || box === undefined || nonce?.byteLength !== nacl.secretbox.nonceLength) return undefined
  return nacl.secretbox.open(box, nonce, await keyFrom(passphrase, salt, sealed.scrypt)) ?? undefined
}

function keyFrom(passphrase: string, salt: Uint8Array, cost: { n: number; r: number; p: number }): Promise<Uint8Array> {
  // Two keyboards may write one letter in two ways; NFKC makes both the same.
  const text = passphrase.normalize('NFKC')
  const options = { N: cost.n, r: cost.r, p: cost.p, maxmem: SCRYPT_MEMORY_BYTES_MAX }
  return new Promise((resolve, reject) => {
    scrypt(text, salt, KEY_BYTES, options, (error, key) => error === null ? resolve(new Uint8Array(key)) : reject(error))
  })
}
