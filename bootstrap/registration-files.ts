/**
 * Registrations of machines on a hub's disk: one small file for each, base64 of what the registry keeps, written beside
 * and renamed. Losing one loses no money: the machine registers again, and who earns stands in the ledger.
 */
import { readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { RegistrationStore } from '../node/contributor/registry.ts'
import type { Log } from '../protocol/ports.ts'
import { errorCode, makePrivateDir, writePrivateFile } from './private-file.ts'

const SUFFIX = '.reg'
const FILE_CHARS_MAX = 64 * 1024
/** Files that are read; the registry has its own bound. */
const FILES_MAX = 100_000

export function createRegistrationFiles({ log }: { readonly log: Log }, { dir }: { readonly dir: string }): RegistrationStore {
  // One after the other, so that two orders about one machine cannot overtake each other.
  let writes: Promise<void> = makePrivateDir(dir).catch(failed)

  function failed(error: unknown): void {
    log.warn('a registration could not be kept on the disk', { code: errorCode(error) ?? 'unknown' })
  }

  return {
    async load() {
      await writes
      const names = (await readdir(dir).catch(() => [])).filter((name) => name.endsWith(SUFFIX)).slice(0, FILES_MAX)
      const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8').catch(() => '')))
      return texts.filter((text) => text !== '' && text.length <= FILE_CHARS_MAX).map((text) => new Uint8Array(Buffer.from(text, 'base64')))
    },
    put(id, bytes) {
      writes = writes.then(() => writePrivateFile(join(dir, `${id}${SUFFIX}`), Buffer.from(bytes).toString('base64'))).catch(failed)
    },
    remove(id) {
      writes = writes.then(() => unlink(join(dir, `${id}${SUFFIX}`))).catch((error: unknown) => {
        if (errorCode(error) !== 'ENOENT') failed(error)
      })
    },
  }
}
