/** The folder of downloaded models, `~/.triforce/models` unless told otherwise: what is in it, and taking one out. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError } from './command-error.ts'
import { takeDirLock } from './dir-lock.ts'
import { modelIdOf } from '../providers/embedded/model-file.ts'

export interface LocalModel {
  /** As the federation will know it. */
  readonly id: string
  readonly path: string
  readonly bytes: number
  /** False while it is only in part here. */
  readonly complete: boolean
}

export async function listModelFolder(folder: string): Promise<readonly LocalModel[]> {
  const names = await readdir(folder).catch((): string[] => [])
  const models = await Promise.all(names.sort().map(async (name): Promise<LocalModel | undefined> => {
    const complete = /\.gguf$/i.test(name)
    if (!complete && !/\.gguf\.part$/i.test(name)) return undefined
    const path = join(folder, name)
    const found = await stat(path).catch(() => undefined)
    return found?.isFile() === true ? { id: modelIdOf(name.replace(/\.part$/, '')), path, bytes: found.size, complete } : undefined
  }))
  return models.filter((model) => model !== undefined)
}

/** With all that belongs to it. Throws a CommandError where another process is loading it. */
export async function removeFromFolder(model: LocalModel): Promise<void> {
  const path = model.path.replace(/\.part$/, '')
  await withModelLock(path, async () => {
    for (const file of [path, `${path}.part`, `${path}.part.json`]) await rm(file, { force: true })
  })
}

/** One process for each file; the lock of one that was killed is seen as such. */
export async function withModelLock<T>(path: string, run: () => Promise<T>): Promise<T> {
  const taken = await takeDirLock(`${path}.lock`)
  if (!taken.held) throw new CommandError(`another command is loading this model already (pid ${taken.pid}); wait for it, or stop it`)
  try {
    return await run()
  } finally {
    await taken.lock.release()
  }
}
