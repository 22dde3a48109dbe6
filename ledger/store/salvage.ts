/**
 * Takes a database apart that LevelDB opens only in part or not at all. What can be read is copied into a new one, and
 * the broken one is moved aside as a whole: LevelDB's own repair may drop rows without a word, and a block that cannot
 * be read stops every later write as soon as LevelDB wants to compact it.
 * What is missing afterwards is found by the verification of the logs and fetched from the other hubs.
 */
import { readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { TriforceError } from '../../protocol/errors.ts'
import type { Database } from './open.ts'

/** Broken databases that are kept; with more, the disk is at fault and somebody has to look. */
const KEPT_MAX = 4
const ROWS = 256
const ROW_BYTES = 4 * 1024 * 1024
/** Tries to get behind a broken block, each twice as far as the one before. */
const SKIPS_MAX = 24

/** Looked up at once: of the largest frames some dozens of MB. */
const LOOKED_UP = 64

/** True where every row can be read: in order, which reads every block, and by its key, which takes the ways to it in the table's index and the block. */
export async function isReadable(db: Database): Promise<boolean> {
  const iterator = db.keys({ highWaterMarkBytes: ROW_BYTES })
  try {
    for (let keys = await iterator.nextv(LOOKED_UP); keys.length > 0; keys = await iterator.nextv(LOOKED_UP)) {
      const found = await db.getMany(keys)
      if (found.includes(undefined as never)) return false
    }
    return true
  } catch {
    return false
  } finally {
    await iterator.close()
  }
}

/** Moves the database's folder aside; gives its new name. Throws LOG_DAMAGED where that was done too often already. */
export async function setAside(dir: string): Promise<string> {
  const parent = dirname(dir)
  const prefix = `${basename(dir)}.broken-`
  const taken = (await readdir(parent)).filter((name) => name.startsWith(prefix))
  if (taken.length >= KEPT_MAX) {
    throw new TriforceError('LOG_DAMAGED', { kept: taken.length }, {
      detail: `the ledger's database in ${dir} is broken again, and ${taken.length} broken ones are kept beside it: the disk is not to be trusted. `
        + 'Replace it, remove the folders that end with a number after "broken-", and start the hub again',
    })
  }
  const numbers = taken.map((name) => Number(name.slice(prefix.length))).filter(Number.isSafeInteger)
  const to = join(parent, `${prefix}${Math.max(0, ...numbers) + 1}`)
  await rename(dir, to)
  return to
}

/** Copies what can be read of `dir` into a new database in its place; gives where the broken one is. Both are closed afterwards. */
export async function salvage(dir: string, broken: Database, openNew: (dir: string) => Promise<Database>): Promise<string> {
  const newDir = `${dir}.new`
  await rm(newDir, { recursive: true, force: true })
  const fresh = await openNew(newDir)
  try {
    for await (const rows of readableRows(broken)) {
      await fresh.batch(rows.map(([key, value]) => ({ type: 'put' as const, key, value })), { sync: true })
    }
  } finally {
    await fresh.close()
    await broken.close()
  }
  const aside = await setAside(dir)
  await rename(newDir, dir)
  return aside
}

async function* readableRows(db: Database): AsyncGenerator<[Uint8Array, Uint8Array][]> {
  let from: Buffer = Buffer.alloc(0)
  for (let skips = 0; skips < SKIPS_MAX;) {
    const iterator = db.iterator({ gt: from, highWaterMarkBytes: ROW_BYTES })
    try {
      for (;;) {
        const rows = await iterator.nextv(ROWS)
        if (rows.length === 0) return
        yield rows
        from = Buffer.from(rows.at(-1)![0])
        skips = 0
      }
    } catch {
      from = behind(from, skips)
      skips += 1
    } finally {
      await iterator.close()
    }
  }
}

/** A key further on: of a frame, so many numbers later; of other rows, at a later beginning. */
function behind(key: Buffer, skips: number): Buffer {
  const place = Math.max(1, Math.min(key.byteLength, 12) - 1 - Math.floor(skips / 3))
  const next = Buffer.alloc(12)
  key.copy(next, 0, 0, Math.min(key.byteLength, place + 1))
  for (let at = place, carry = 4 ** (skips % 3); at >= 0 && carry > 0; at -= 1) {
    const sum = next[at]! + carry
    next[at] = sum & 0xff
    carry = sum >> 8
  }
  return next
}
