/** Stands in for `triforce up`: starts one fake node and waits for its own end. Prints the node's pid. */
import { createChildNode } from '../../bootstrap/local-federation/child-node.ts'
import { createClock } from '../../bootstrap/system.ts'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const livesFile = process.argv[2]!
const child = createChildNode({
  clock: createClock(), env: process.env, note: () => {}, entry: fileURLToPath(new URL('process-fake-node.ts', import.meta.url)),
}, { place: { name: 'fake', dir: dirname(livesFile) }, args: ['start', 'obeys', livesFile] })
const { pid } = await child.start()
console.log(pid)
