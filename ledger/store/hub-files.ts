/**
 * Two small files that stand beside the database, in the hub's ledger folder:
 *
 * `anchor.json`    how far the own log is known to reach, and how many promises were written. A database that ends before
 *                  it has lost something, or is an older copy that was put back. It follows the log with a delay and is
 *                  never ahead of it.
 * `epoch-key.json` the private key of the own log, mode 0600. A log whose key is gone is never continued.
 *
 * Both are replaced as a whole (write, sync, rename), so a crash leaves the old or the new one.
 *
 * And one that stands elsewhere, on a file system that ends with the machine's run (`/dev/shm`): the marker. It names the
 * run of the machine and says the same as the anchor, so that a process that starts again can tell that nothing but the
 * process was away. It is not synced: it has to outlive the process, never the machine.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { mkdir, open, readFile, realpath, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { bytesEqual, fromHex, toHex } from '../../protocol/bytes.ts'
import { SEED_BYTES, sha256 } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { countField } from '../../protocol/fields.ts'
import { epochField } from '../../protocol/messages/ledger-fields.ts'

/** A place in the own log. */
export interface LogEnd {
  readonly epoch: number
  /** 0 and a zero hash: the log was opened and nothing is known of its frames. */
  readonly no: number
  readonly hash: Uint8Array
}

export interface Anchor extends LogEnd {
  /** How many promises (promise-rows.ts) are on the disk at least. */
  readonly promises: number
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

const anchorSchema = z.object({ v: z.literal(2), network: z.string(), hub: z.number(), epoch: epochField, no: countField, hash: hexOf(32), promises: countField.default(0), check: hexOf(32) })
const markerSchema = anchorSchema.extend({ boot: z.string().min(1).max(64) })
const epochKeyFileSchema = z.object({ v: z.literal(1), epoch: epochField, seed: hexOf(SEED_BYTES) })

/** Where the own log ended, in this run of the machine. */
export interface Marker extends Anchor {
  readonly boot: string
}

export interface HubFiles {
  /** Gives undefined where there is none, it cannot be read, or it is of an earlier run of the machine. */
  readMarker(): Promise<Marker | undefined>
  /** Does nothing where the machine has no place for it. */
  writeMarker(end: Anchor): Promise<void>
  /** Gives undefined where there is none; one that cannot be read counts as none, which makes recovery stricter. */
  readAnchor(): Promise<Anchor | undefined>
  writeAnchor(anchor: Anchor): Promise<void>
  readEpochKey(): Promise<EpochKeyFile | undefined>
  writeEpochKey(file: EpochKeyFile): Promise<void>
  close(): void
}

/** Of the marker's text, with blanks in front, so that it lacks something wherever it is cut: it has some 300, and the name of a network may be long. */
const MARKER_BYTES = 512

type AnchorFields = Anchor & { readonly network: string; readonly hub: number }

/** SHA-256 over everything that an anchor says: a spoilt one must not pass for that of another hub. */
function checkOf({ network, hub, epoch, no, hash, promises }: AnchorFields): Uint8Array {
  return sha256(Buffer.from(`triforce/anchor/2\0${network}\0${hub}\0${epoch}\0${no}\0${toHex(hash)}${promises === 0 ? '' : `\0${promises}`}`, 'utf8'))
}

const isWhole = (file: AnchorFields & { readonly check: Uint8Array }): boolean => bytesEqual(file.check, checkOf(file))

/** Without promises it is as it was before there was a count of them. */
function anchorText(fields: AnchorFields): object {
  const { network, hub, epoch, no, hash, promises } = fields
  return { v: 2, network, hub, epoch, no, hash: toHex(hash), ...promises === 0 ? {} : { promises }, check: toHex(checkOf(fields)) }
}

/** Creates the folder. Throws CONFIG_INVALID where the anchor belongs to another hub or network. */
export async function openHubFiles(
  dir: string, owner: { readonly network: string; readonly hub: number }, runtime?: Runtime,
): Promise<HubFiles> {
  const anchorPath = join(dir, 'anchor.json')
  const keyPath = join(dir, 'epoch-key.json')
  await mkdir(dir, { recursive: true })
  const readAnchor = async () => {
    const file = parsed(anchorSchema, await readText(anchorPath))
    if (file === undefined || !isWhole(file)) return undefined
    if (file.network !== owner.network || file.hub !== owner.hub) {
      throw new TriforceError('CONFIG_INVALID', {}, {
        detail: `the ledger in ${dir} is that of hub ${file.hub} of the network "${file.network}"; give this hub a folder of its own`,
      })
    }
    return { epoch: file.epoch, no: file.no, hash: file.hash, promises: file.promises }
  }
  await readAnchor()
  const { boot, dir: runtimeDir } = runtime ?? await machineRuntime()
  // One folder, one marker: a copy of the folder elsewhere does not find it.
  const markerPath = runtimeDir === undefined ? undefined
    : join(runtimeDir, `triforce-ledger-${toHex(sha256(Buffer.from(await realpath(dir), 'utf8'))).slice(0, 24)}.json`)
  let marker: number | undefined
  return {
    readMarker: async () => {
      if (markerPath === undefined || boot === undefined) return undefined
      const file = parsed(markerSchema, await readText(markerPath))
      const ours = file !== undefined && isWhole(file) && file.boot === boot && file.network === owner.network && file.hub === owner.hub
      return ours ? { epoch: file.epoch, no: file.no, hash: file.hash, promises: file.promises, boot } : undefined
    },
    writeMarker: async ({ epoch, no, hash, promises }) => {
      if (markerPath === undefined || boot === undefined) return
      const text = JSON.stringify({ ...anchorText({ ...owner, epoch, no, hash, promises }), boot })
      marker ??= openSync(markerPath, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
      // In place and in one page, in memory: a process that is killed leaves the old text or the new one, and what is neither does not count.
      writeSync(marker, text.padStart(MARKER_BYTES), 0, 'utf8')
    },
    close: () => {
      if (marker !== undefined) closeSync(marker)
      marker = undefined
    },
    readAnchor,
    writeAnchor: ({ epoch, no, hash, promises }) => replaceFile(dir, anchorPath, 0o644, anchorText({ ...owner, epoch, no, hash, promises })),
    readEpochKey: async () => parsed(epochKeyFileSchema, await readText(keyPath)),
    writeEpochKey: ({ epoch, seed }) => replaceFile(dir, keyPath, 0o600, { v: 1, epoch, seed: toHex(seed) }),
  }
}

export interface Runtime {
  /** A folder that does not survive the machine's run; undefined where there is none. */
  readonly dir: string | undefined
  /** Names this run of the machine. */
  readonly boot: string | undefined
}

/** Linux has both; elsewhere a restarted hub asks the others. */
async function machineRuntime(): Promise<Runtime> {
  const boot = (await readText('/proc/sys/kernel/random/boot_id').catch(() => undefined))?.trim()
  const shared = await stat('/dev/shm').catch(() => undefined)
  return { dir: shared?.isDirectory() === true ? '/dev/shm' : undefined, boot: boot === '' ? undefined : boot }
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
