/** Free TCP ports on loopback. A port that is busy moves to the next free one. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

const LOOPBACK = '127.0.0.1'
const PORT_MAX = 65_535

/** Enough for a machine full of federations; beyond it something else is wrong. */
const TRIES_MAX = 2_000

/** The first free port from `start` on that is not in `taken`; it is added there. */
export async function nextFreePort(start: number, taken: Set<number>): Promise<number> {
  for (let port = start; port <= Math.min(PORT_MAX, start + TRIES_MAX); port++) {
    if (taken.has(port) || !await isPortFree(port)) continue
    taken.add(port)
    return port
  }
  throw new RangeError(`no port from ${start} on is free`)
}

export async function isPortFree(port: number): Promise<boolean> {
  // Some systems let a second process listen at 127.0.0.1 while the first has all addresses; connecting tells.
  if (await answers(port)) return false
  const server = createServer()
  try {
    server.listen({ port, host: LOOPBACK, exclusive: true })
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, LOOPBACK)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
