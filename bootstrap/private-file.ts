/**
 * Files that hold secrets or the state of this machine: readable by their owner only, written whole or not at all.
 */
import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

export const PRIVATE_FILE_MODE = 0o600
export const PRIVATE_DIR_MODE = 0o700

export async function makePrivateDir(dir: string): Promise<void> {
  try {
    // Alone first: a recursive mkdir says ENOENT where the file system is read-only, and never ends below /proc.
    await mkdir(dir, { mode: PRIVATE_DIR_MODE })
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EEXIST' && (await stat(dir)).isDirectory()) return
    if (code !== 'ENOENT' || await exists(dirname(dir))) throw error
    await mkdir(dir, { recursive: true, mode: PRIVATE_DIR_MODE })
  }
}

/** Writes beside the target and renames, so that a crash leaves the old file or the new one, never half of one. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const temporary = await writeBeside(path, text)
  await rename(temporary, path)
}

/** As writePrivateFile, but never replaces: gives false where the file exists, also when two processes try at once. */
export async function createPrivateFile(path: string, text: string): Promise<boolean> {
  const temporary = await writeBeside(path, text)
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(temporary)
  }
}

/** The text of a file; undefined where there is none. Throws a file error that names the path. */
export async function readTextFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw withPath(error, path)
  }
}

/** True where others than the owner may read or write the file. Windows keeps rights elsewhere and always gives false. */
export async function isOpenToOthers(path: string): Promise<boolean> {
  if (process.platform === 'win32') return false
  return ((await stat(path)).mode & 0o077) !== 0
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Node names no path where a file was opened and then could not be read or written, as with a folder or a full disk. */
export function withPath(error: unknown, path: string): unknown {
  return error instanceof Error ? Object.assign(error, { path }) : error
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false)
}

async function writeBeside(path: string, text: string): Promise<string> {
  await makePrivateDir(dirname(path))
  const temporary = `${path}.${randomUUID()}.tmp`
  const file = await open(temporary, 'wx', PRIVATE_FILE_MODE)
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    await unlink(temporary)
    throw withPath(error, path)
  } finally {
    await file.close()
  }
  return temporary
}
