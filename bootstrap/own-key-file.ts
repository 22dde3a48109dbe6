/** Accounts' own vendor keys on the disk of the node that they chose: one file, sealed under a key made from the node's own. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import nacl from 'tweetnacl'
import { z } from 'zod'
import { sha256 } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import { createOwnKeys, type OwnKey, type OwnKeys, type OwnKeyStore } from '../node/clouds/own-keys.ts'
import type { NodeConfig } from './config.ts'
import { readTextFile, writePrivateFile } from './private-file.ts'
import type { System } from './system.ts'

const fileSchema = z.strictObject({ v: z.literal(1), nonce: z.base64(), box: z.base64() })
const keysSchema = z.array(z.object({
  account: z.string().regex(/^[0-9a-f]{32}$/), vendor: z.string(), key: z.string(), mode: z.enum(['priority', 'fallback']), addedAt: z.number(),
}))

export async function openOwnKeys({ dir, identity }: NodeConfig, { clock }: System): Promise<OwnKeys> {
  const { store, loaded } = await openOwnKeyFile(dir, identity.seed)
  return createOwnKeys({ store, clock }, loaded)
}

/** Throws CONFIG_INVALID where the file was sealed by another node, or changed. */
export async function openOwnKeyFile(dir: string, nodeSeed: Uint8Array): Promise<{ readonly store: OwnKeyStore; readonly loaded: readonly OwnKey[] }> {
  const path = join(dir, 'vendor-keys.json')
  const key = sha256(Buffer.from('triforce/own-keys/1\0', 'utf8'), nodeSeed)
  return {
    loaded: await load(path, key),
    store: {
      async save(keys) {
        const nonce = new Uint8Array(randomBytes(nacl.secretbox.nonceLength))
        const box = nacl.secretbox(Buffer.from(JSON.stringify(keys), 'utf8'), nonce, key)
        await writePrivateFile(path, `${JSON.stringify({ v: 1, nonce: base64(nonce), box: base64(box) })}\n`)
      },
    },
  }
}

async function load(path: string, key: Uint8Array): Promise<readonly OwnKey[]> {
  const text = await readTextFile(path)
  if (text === undefined) return []
  try {
    const { nonce, box } = fileSchema.parse(JSON.parse(text))
    const opened = nacl.secretbox.open(bytes(box), bytes(nonce), key)
    if (opened === null) throw new Error('sealed by another key')
    return keysSchema.parse(JSON.parse(Buffer.from(opened).toString('utf8')))
  } catch (cause) {
    // The cause may quote what it could not read.
    throw new TriforceError('CONFIG_INVALID', { path }, { detail: `${path} cannot be opened with this node's key: ${cause instanceof SyntaxError ? 'it is damaged' : 'it belongs to another node or was changed'}; move it away to start without the vendor keys in it` })
  }
}

const base64 = (data: Uint8Array) => Buffer.from(data).toString('base64')
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
