/**
 * Ports for nodes that must know theirs before they start, or keep it over a restart. They lie below the range from which a
 * system picks ports itself (from 32768 on Linux, 49152 elsewhere), so that no connection and no other server takes one meanwhile.
 */
import { createServer } from 'node:net'

const FIRST = 20_000
const COUNT = 12_000

/** Where this process looks next; test processes that run at once begin apart. */
let next = (process.pid * 97) % COUNT

/** Each is given once in this process. Throws where nearly all are in use. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = []
  for (let tried = 0; ports.length < count; tried += 1) {
    if (tried >= COUNT) throw new Error('no port is free')
    const port = FIRST + next
    next = (next + 1) % COUNT
    if (await isFree(port)) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => { resolve(false) })
    server.listen(port, '127.0.0.1', () => { server.close(() => { resolve(true) }) })
  })
}
