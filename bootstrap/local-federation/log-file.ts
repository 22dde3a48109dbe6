/** Log files of the nodes that `up` starts: what a node says on stdout and stderr, also when it crashes. */
import { open, rename, stat, type FileHandle } from 'node:fs/promises'
import { errorCode, makePrivateDir, PRIVATE_FILE_MODE } from '../private-file.ts'
import { dirname } from 'node:path'

/** A larger file is set aside as `node.log.1` at the next start, so a node never has more than two of about this size. */
const LOG_BYTES_MAX = 4 * 1024 * 1024

const TAIL_BYTES = 8 * 1024

export async function openLogFile(path: string): Promise<FileHandle> {
  await makePrivateDir(dirname(path))
  const size = await stat(path).then((found) => found.size, () => 0)
  if (size > LOG_BYTES_MAX) await rename(path, `${path}.1`)
  return open(path, 'a', PRIVATE_FILE_MODE)
}

/** The last lines of a log; empty where there is none. */
export async function tailOf(path: string, lines: number): Promise<readonly string[]> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
  try {
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, Math.max(0, size - TAIL_BYTES))
    return buffer.toString('utf8', 0, bytesRead).split('\n').filter((line) => line.trim() !== '').slice(-lines)
  } finally {
    await file.close()
  }
}
