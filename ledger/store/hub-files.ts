/**
 * Two small files that stand beside the database, in the hub's ledger folder:
 *
 * `anchor.json`    how far the own log is known to reach. A database that ends before it has lost frames, or is an older
 *                  copy that was put back. It follows the log with a delay and is never ahead of it.
 * `epoch-key.json` the private key of the own log, mode 0600. A log whose key is gone is never continued.
 *
 * Both are replaced as a whole (write, sync, rename), so a crash leaves the old or the new one.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { SEED_BYTES } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { countField } from '../../protocol/fields.ts'
import { epochField } from '../../protocol/messages/ledger.ts'

export interface Anchor {
  readonly epoch: number
  /** 0 and a zero hash: the log was opened and nothing is known of its frames. */
  readonly no: number
  readonly hash: Uint8Array
}

export interface EpochKeyFile {
  readonly epoch: number
  readonly seed: Uint8Array
}

const hexOf = (bytes: number) => z.string().length(bytes * 2).transform((text, context) => {
  const value = fromHex(text)
  if (value !== undefined) return value
  context.addIssue({ code: 'custom', message: 'must be hexadecimal' })
  return z.NEVER
})

const anchorSchema = z.object({ v: z.literal(1), network: z.string(), hub: z.number(), epoch: epochField, no: countField, hash: hexOf(32) })
const epochKeyFileSchema = z.object({ v: z.literal(1), epoch: epochField, seed: hexOf(SEED_BYTES) })

export interface HubFiles {
  /** Gives undefined where there is none; one that cannot be read counts as none, which makes recovery stricter. */
  readAnchor(): Promise<Anchor | undefined>
  writeAnchor(anchor: Anchor): Promise<void>
  readEpochKey(): Promise<EpochKeyFile | undefined>
  writeEpochKey(file: EpochKeyFile): Promise<void>
}

/** Creates the folder. Throws CONFIG_INVALID where the anchor belongs to another hub or network. */
export async function openHubFiles(dir: string, owner: { readonly network: string; readonly hub: number }): Promise<HubFiles> {
  const anchorPath = join(dir, 'anchor.json')
  const keyPath = join(dir, 'epoch-key.json')
  await mkdir(dir, { recursive: true })
  const readAnchor = async () => {
    const file = parsed(anchorSchema, await readText(anchorPath))
    if (file === undefined) return undefined
    if (file.network !== owner.network || file.hub !== owner.hub) {
      throw new TriforceError('CONFIG_INVALID', {}, {
        detail: `the ledger in ${dir} is that of hub ${file.hub} of the network "${file.network}"; give this hub a folder of its own`,
      })
    }
    return { epoch: file.epoch, no: file.no, hash: file.hash }
  }
  await readAnchor()
  return {
    readAnchor,
    writeAnchor: ({ epoch, no, hash }) => replaceFile(dir, anchorPath, 0o644, { v: 1, ...owner, epoch, no, hash: toHex(hash) }),
    readEpochKey: async () => parsed(epochKeyFileSchema, await readText(keyPath)),
    writeEpochKey: ({ epoch, seed }) => replaceFile(dir, keyPath, 0o600, { v: 1, epoch, seed: toHex(seed) }),
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parsed<Schema extends z.ZodType>(schema: Schema, text: string | undefined): z.output<Schema> | undefined {
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

async function replaceFile(dir: string, path: string, mode: number, value: object): Promise<void> {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', mode)
  try {
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  if (process.platform === 'win32') return
  // The rename itself is durable only once the folder is; Windows cannot sync a folder.
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
