/**
 * Stands in for `triforce start` below a ChildNode: reports ready over IPC and obeys it. How it behaves is told by its
 * arguments after `start`: a word and a file that counts its lives.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { createStopRequest } from '../../bootstrap/signals.ts'
import type { ChildMessage } from '../../bootstrap/local-federation/messages.ts'

const [, behaviour = '', livesFile = ''] = process.argv.slice(2)
appendFileSync(livesFile, `${process.pid}\n`)
const life = readFileSync(livesFile, 'utf8').trim().split('\n').length
const stop = createStopRequest({ deadlineMs: 5_000 })

function ready(): void {
  const message: ChildMessage = {
    type: 'ready',
    node: { name: 'fake', mode: 'contributor', peerId: 'peer', api: 'http://127.0.0.1:1', p2p: [], pid: process.pid, models: [`life-${life}`] },
  }
  process.send?.(message)
}

if (behaviour === 'refuses') {
  const message: ChildMessage = { type: 'failed', sentence: 'the key file is sealed' }
  process.send?.(message, undefined, {}, () => process.exit(1))
} else if (behaviour === 'mute-crash') {
  console.error('a last word before the end')
  process.exit(3)
} else {
  process.on('message', (message) => { if ((message as { type: string }).type === 'describe') ready() })
  ready()
  if (behaviour === 'crashes-once-ready') setTimeout(() => process.exit(7), 20)
  // A timer keeps it alive without the channel, so that only our own handling of its end can end it.
  const alive = setInterval(() => {}, 1_000)
  await stop.requested
  if (behaviour === 'ignores-stop') await new Promise(() => {})
  clearInterval(alive)
  appendFileSync(livesFile, 'stopped\n')
  if (process.connected) process.disconnect()
}
