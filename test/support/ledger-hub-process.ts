/**
 * One hub's ledger in a process of its own, for tests that kill it. Reaches the other hubs over TCP on loopback, logs
 * receipts as fast as they are acknowledged, and reports every acknowledged id to its parent.
 * Started by `startHubProcess` of ledger-processes.ts with its settings as JSON in the first argument.
 */
import { createConnection, createServer, type Socket } from 'node:net'
import { toHex } from '../../protocol/bytes.ts'
import { createSigner } from '../../protocol/crypto.ts'
import { readFederation } from '../../protocol/federation.ts'
import { receiptIdOf } from '../../protocol/messages/receipt.ts'
import { ticketOf } from '../../ledger/entries/entry.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import { openLedger } from '../../ledger/ledger.ts'
import type { HubProcessSettings } from './ledger-processes.ts'
import { cryptoRandom, realClock, testReceipt } from './ledger-world.ts'
import { quietLog } from './quiet-log.ts'

const RETRY_MS = 20
const settings = JSON.parse(process.argv[2]!) as HubProcessSettings
const federation = readFederation(settings.federation)
const signer = createSigner(Buffer.from(settings.seed, 'hex'))
const report = (message: object) => { process.send!(message) }

const ledger = await openLedger({ clock: realClock, random: cryptoRandom, log: quietLog(`hub${settings.hub}`), signer }, {
  dir: settings.dir, federation, hubIndex: settings.hub, onFailed: (error) => { report({ failed: `${error.code}: ${error.message}` }) },
})
listen(ledger)
for (const [hub, port] of settings.ports.entries()) if (hub > settings.hub) dial(ledger, hub, port)
await ledger.whenWritable({ signal: AbortSignal.timeout(20_000) })
report({ writable: true })

const load = { on: true }
process.on('message', (message) => {
  if (message === 'stop-load') {
    load.on = false
    void Promise.all(workers).then(() => { report({ loadStopped: true }) })
  }
  if (message === 'heads') report({ heads: ledger.heads().map(({ hash, ...head }) => ({ ...head, hash: toHex(hash) })) })
  if (message === 'close') void ledger.close().then(() => { process.exit(0) })
})
const workers = Array.from({ length: settings.workers }, appendAll)

async function appendAll(): Promise<void> {
  while (load.on) {
    try {
      const receipt = testReceipt(federation.network, signer)
      const { durability } = await ledger.appendReceipt(receipt)
      const record = receiptId(receipt)
      report({ acked: record, durability })
    } catch (error) {
      if ((error as { code?: string }).code !== 'LEDGER_READ_ONLY') throw error
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

function receiptId(receipt: Parameters<HubLedger['appendReceipt']>[0]): string {
  return toHex(receiptIdOf(ticketOf(receipt.ticket).jobId))
}

function listen(ledger: HubLedger): void {
  createServer((socket) => { serve(ledger, socket, undefined) }).listen(settings.ports[settings.hub], '127.0.0.1')
}

function dial(ledger: HubLedger, hub: number, port: number): void {
  const socket = createConnection({ port, host: '127.0.0.1' }, () => { serve(ledger, socket, hub) })
  socket.on('error', () => {})
  socket.on('close', () => { setTimeout(() => { dial(ledger, hub, port) }, RETRY_MS) })
}

/** Messages with their length in front; the dialling side says first which hub it is. */
function serve(ledger: HubLedger, socket: Socket, dialled: number | undefined): void {
  let peer = dialled
  socket.setNoDelay(true)
  socket.on('error', () => {})
  socket.on('drain', () => { if (peer !== undefined) ledger.sync.drained(peer) })
  const send = (message: Uint8Array) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(message.byteLength)
    socket.write(length)
    return socket.write(message)
  }
  if (dialled !== undefined) {
    socket.write(Buffer.of(settings.hub))
    ledger.sync.connected(dialled, send)
  }
  void read().catch((error: Error) => {
    // A reset is what a killed peer leaves; an error of the ledger means that an honest peer was refused.
    if (error.name === 'TriforceError') report({ failed: error.message })
  }).then(() => {
    socket.destroy()
    if (peer !== undefined) ledger.sync.disconnected(peer)
  })

  async function read(): Promise<void> {
    let buffered = Buffer.alloc(0)
    for await (const chunk of socket) {
      buffered = Buffer.concat([buffered, chunk as Buffer])
      if (peer === undefined) {
        peer = buffered[0]!
        buffered = buffered.subarray(1)
        ledger.sync.connected(peer, send)
      }
      while (buffered.byteLength >= 4 && buffered.byteLength >= 4 + buffered.readUInt32BE()) {
        const end = 4 + buffered.readUInt32BE()
        const message = new Uint8Array(buffered.subarray(4, end))
        buffered = buffered.subarray(end)
        await ledger.sync.receive(peer, message)
      }
    }
  }
}
