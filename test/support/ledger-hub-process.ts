/**
 * One hub's ledger in a process of its own, for tests that kill it. Reaches the other hubs over TCP on loopback, logs
 * receipts as fast as they are acknowledged, and reports every acknowledged id to its parent.
 * Started by `startHubProcess` of ledger-processes.ts with its settings as JSON in the first argument.
 */
import { toHex } from '../../protocol/bytes.ts'
import { createSigner } from '../../protocol/crypto.ts'
import { readFederation } from '../../protocol/federation.ts'
import { receiptIdOf } from '../../protocol/messages/receipt.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import { openLedger } from '../../ledger/ledger.ts'
import type { HubProcessSettings } from './ledger-processes.ts'
import { openLedgerSockets } from './ledger-socket.ts'
import { cryptoRandom, realClock, testReceipt, ticketIn } from './ledger-world.ts'
import { quietLog } from './quiet-log.ts'

const RETRY_MS = 20
const settings = JSON.parse(process.argv[2]!) as HubProcessSettings
const federation = readFederation(settings.federation)
const signer = createSigner(Buffer.from(settings.seed, 'hex'))
const report = (message: object) => { process.send!(message) }

const ledger = await openLedger({ clock: realClock, random: cryptoRandom, log: quietLog(`hub${settings.hub}`), signer }, {
  dir: settings.dir, federation, hubIndex: settings.hub, onFailed: (error) => { report({ failed: `${error.code}: ${error.message}` }) },
})
const sockets = await openLedgerSockets(ledger.sync, { hub: settings.hub, port: settings.ports[settings.hub]! }, (error) => { report({ failed: error.message }) })
for (const [hub, port] of settings.ports.entries()) if (hub > settings.hub) sockets.dial(hub, port)
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
  return toHex(receiptIdOf(ticketIn(receipt.ticket).jobId))
}
