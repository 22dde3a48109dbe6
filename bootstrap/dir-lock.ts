/**
 * One process per state folder. The holder listens on a loopback port and writes it into the lock file with a random
 * word; who finds the file asks that port for the word. The kernel closes the port however the holder dies, so a lock
 * left behind by SIGKILL is seen at once, and a process that got the same pid later is never taken for the holder.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, renameSync } from 'node:fs'
import { link, unlink } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { z } from 'zod'
import { createPrivateFile, errorCode, readTextFile } from './private-file.ts'

const lockFileSchema = z.strictObject({
  v: z.literal(1),
  pid: z.number().int(),
  port: z.number().int().min(1).max(65_535),
  word: z.string().regex(/^[0-9a-f]{32}$/),
})
type LockFile = z.output<typeof lockFileSchema>

/** A holder on the same machine answers within a few milliseconds, unless it is stopped in a debugger. */
const ANSWER_MS_MAX = 2_000

/** Each round is lost only where another process took or left the lock in the same moment. */
const ROUNDS_MAX = 10

export interface DirLock {
  release(): Promise<void>
}

export type LockResult =
  | { readonly held: true; readonly lock: DirLock }
  /** Another process has it. */
  | { readonly held: false; readonly pid: number }

export async function takeDirLock(path: string): Promise<LockResult> {
  const word = randomBytes(16).toString('hex')
  const server = await listenWith(word)
  const own: LockFile = { v: 1, pid: process.pid, port: (server.address() as AddressInfo).port, word }
  for (let round = 0; round < ROUNDS_MAX; round++) {
    if (await createPrivateFile(path, `${JSON.stringify(own)}\n`)) return { held: true, lock: { release: () => release(path, server, word) } }
    const text = await readTextFile(path)
    if (text === undefined) continue
    const other = parseLock(text)
    if (other !== undefined && await isAlive(other)) {
      server.close()
      return { held: false, pid: other.pid }
    }
    await removeStale(path, text)
  }
  server.close()
  return { held: false, pid: parseLock(await readTextFile(path) ?? '')?.pid ?? 0 }
}

/** Waits for a holder that is on its way out. */
export async function waitForDirLock(path: string, options: { readonly waitMsMax: number; readonly signal?: AbortSignal }): Promise<LockResult> {
  const deadline = performance.now() + options.waitMsMax
  for (;;) {
    const result = await takeDirLock(path)
    if (result.held || performance.now() >= deadline || options.signal?.aborted === true) return result
    await new Promise((resolve) => { setTimeout(resolve, 100) })
  }
}

async function release(path: string, server: Server, word: string): Promise<void> {
  const text = await readTextFile(path)
  if (text !== undefined && parseLock(text)?.word === word) await unlink(path)
  server.close()
}

async function listenWith(word: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.end(word)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  return server
}

async function isAlive(lock: LockFile): Promise<boolean> {
  const socket = connect(lock.port, '127.0.0.1')
  socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error('no answer')))
  let answer = ''
  try {
    for await (const chunk of socket) {
      answer += String(chunk)
      if (answer.length > lock.word.length) break
    }
  } catch {
    return false
  } finally {
    socket.destroy()
  }
  return answer === lock.word
}

/**
 * Takes a dead holder's file away. Asking whether it is dead took a while, so the file is looked at once more right
 * before; should another process still have taken the lock in between, its file is put back.
 */
async function removeStale(path: string, staleText: string): Promise<void> {
  const aside = `${path}.${randomUUID()}.stale`
  try {
    if (readFileSync(path, 'utf8') !== staleText) return
    renameSync(path, aside)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  if (await readTextFile(aside) !== staleText) {
    await link(aside, path).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error
    })
  }
  await unlink(aside)
}

function parseLock(text: string): LockFile | undefined {
  try {
    return lockFileSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
