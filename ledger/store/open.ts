/**
 * Opens the level database of a ledger and checks its version stamp.
 *
 * All writes to it are synced batches. LevelDB may lose an unsynced write and keep a later synced one, so a single
 * unsynced write would end the guarantee (docs/ledger.md#store).
 */
import { Level } from 'level'
import { TriforceError } from '../../protocol/errors.ts'
import { metaKey } from './buckets.ts'
import { isReadable, salvage, setAside } from './salvage.ts'

export type Database = Level<Uint8Array, Uint8Array>

/** Grows when what is stored changes its meaning; a program refuses numbers that it does not know. */
export const STORE_FORMAT = 1

/** 64 MiB tables: with LevelDB's 2 MiB a ledger of some years would be 100,000 files. */
const TABLE_BYTES = 64 * 1024 * 1024
/** What LevelDB collects in memory before it writes a table. */
const WRITE_BUFFER_BYTES = 8 * 1024 * 1024

const formatKey = metaKey('format')

/**
 * A database that LevelDB finds broken is moved aside and what can be read of it is taken into a new one; `warn` is told.
 * Throws CONFIG_INVALID where another process has it open or a newer version wrote it, LOG_DAMAGED where nothing helps.
 */
export async function openDatabase(dir: string, warn: (text: string) => void = () => {}): Promise<Database> {
  let db = create(dir)
  try {
    await db.open()
  } catch (error) {
    if (!isCorrupt(error)) throw openError(dir, error)
    warn(`the ledger's database is broken (${problemOf(error)}); it is kept in ${await setAside(dir)}, and the hub fetches everything from the other hubs`)
    db = await opened(dir)
  }
  if (!await isReadable(db)) {
    const aside = await salvage(dir, db, opened)
    warn(`parts of the ledger's database cannot be read; the rest is copied, the broken one is kept in ${aside}, and what is missing comes from the other hubs`)
    db = await opened(dir)
  }
  try {
    await checkFormat(db, dir)
  } catch (error) {
    await db.close()
    throw error
  }
  return db
}

function create(dir: string): Database {
  return new Level<Uint8Array, Uint8Array>(dir, { keyEncoding: 'view', valueEncoding: 'view', maxFileSize: TABLE_BYTES, writeBufferSize: WRITE_BUFFER_BYTES })
}

async function opened(dir: string): Promise<Database> {
  const db = create(dir)
  await db.open().catch((error: unknown) => { throw openError(dir, error) })
  return db
}

const codeOf = (error: unknown) => ((error instanceof Error ? error.cause : undefined) as { code?: unknown } | undefined)?.code
const problemOf = (error: unknown) => error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)

/** A file's content is wrong or a file of the database is gone: not a disk that is full, or a folder that may not be read. */
function isCorrupt(error: unknown): boolean {
  const problem = problemOf(error)
  return codeOf(error) === 'LEVEL_CORRUPTION' || /corruption|no such file|missing files|does not end with newline|not an sstable/i.test(problem)
}

async function checkFormat(db: Database, dir: string): Promise<void> {
  const stamp = await db.get(formatKey)
  if (stamp === undefined) {
    await db.batch([{ type: 'put', key: formatKey, value: Buffer.from(String(STORE_FORMAT), 'utf8') }], { sync: true })
    return
  }
  const format = Buffer.from(stamp).toString('utf8')
  if (format !== String(STORE_FORMAT)) {
    throw new TriforceError('CONFIG_INVALID', { format }, {
      detail: `the ledger in ${dir} has format ${format.slice(0, 32)}, but this program reads format ${STORE_FORMAT}; `
        + 'run the version of triforce that wrote it, or a newer one',
    })
  }
}

function openError(dir: string, error: unknown): TriforceError {
  if (codeOf(error) === 'LEVEL_LOCKED') {
    return new TriforceError('CONFIG_INVALID', {}, {
      detail: `the ledger in ${dir} is in use by another process; stop that process, or give this one another folder`, cause: error,
    })
  }
  return new TriforceError('LOG_DAMAGED', {}, {
    detail: `the ledger in ${dir} cannot be opened: ${problemOf(error)}. Check the disk and the folder's rights; `
      + 'where files are broken, move the folder aside and start again, so that the hub fetches its log from the other hubs',
    cause: error,
  })
}
