/**
 * Vendors that an admin added to a hub, with their keys, in `<dir>/vendors.json`: sealed with a key from the hub's own
 * seed, so the file says nothing without the node's key, and is as safe as that is (docs/operating.md#clouds).
 */
import { hkdfSync, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import nacl from 'tweetnacl'
import { z } from 'zod'
import { fromHex, toHex } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import { CLOUDS_MAX } from '../protocol/limits.ts'
import { isOpenToOthers, readTextFile, writePrivateFile } from './private-file.ts'

const vendorSchema = z.strictObject({
  vendor: z.string().min(1).max(32),
  key: z.string().min(1).max(4_096),
  baseUrl: z.string().max(2_048).optional(),
  family: z.enum(['openai', 'anthropic']).optional(),
  allowPrivate: z.boolean(),
})
export type AddedVendor = z.output<typeof vendorSchema>

const fileSchema = z.strictObject({ v: z.literal(1), nonce: z.string(), box: z.string() })

export interface VendorFile {
  /** Empty where there is no file. Throws CONFIG_INVALID where it does not open. */
  read(): Promise<readonly AddedVendor[]>
  write(vendors: readonly AddedVendor[]): Promise<void>
}

export function vendorFilePath(dir: string): string {
  return join(dir, 'vendors.json')
}

export function createVendorFile(dir: string, seed: Uint8Array): VendorFile {
  const path = vendorFilePath(dir)
  // A key of its own, so that the seed itself seals nothing.
  const sealKey = new Uint8Array(hkdfSync('sha256', seed, new Uint8Array(), 'triforce/vendor-keys/1', nacl.secretbox.keyLength))

  return {
    async read() {
      const text = await readTextFile(path)
      if (text === undefined) return []
      if (await isOpenToOthers(path)) throw invalid(`can be read by other users of this machine; close it with: chmod 600 ${path}`)
      const opened = openBox(text)
      if (opened === undefined) throw invalid('does not open with the key of this hub; restore it from your backup, or remove it and add the providers again')
      return opened
    },
    async write(vendors) {
      const nonce = new Uint8Array(randomBytes(nacl.secretbox.nonceLength))
      const box = nacl.secretbox(new TextEncoder().encode(JSON.stringify(vendors)), nonce, sealKey)
      await writePrivateFile(path, `${JSON.stringify({ v: 1, nonce: toHex(nonce), box: toHex(box) })}\n`)
    },
  }

  function openBox(text: string): readonly AddedVendor[] | undefined {
    try {
      const file = fileSchema.parse(JSON.parse(text))
      const nonce = fromHex(file.nonce)
      const box = fromHex(file.box)
      if (nonce?.byteLength !== nacl.secretbox.nonceLength || box === undefined) return undefined
      const bytes = nacl.secretbox.open(box, nonce, sealKey)
      return bytes === null ? undefined : z.array(vendorSchema).max(CLOUDS_MAX).parse(JSON.parse(new TextDecoder().decode(bytes)))
    } catch {
      return undefined
    }
  }

  function invalid(problem: string): TriforceError {
    return new TriforceError('CONFIG_INVALID', {}, { detail: `${path} ${problem}` })
  }
}
