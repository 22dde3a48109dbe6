/** One hub's ledger in a process of its own: does what its parent asks over the channel, reaches the other hubs through the parent's links. */
import { createHash } from 'node:crypto'
import type { HubLedger } from '../../ledger/interface.ts'
import { openLedger } from '../../ledger/ledger.ts'
import { plant } from '../../ledger/planted-bugs.ts'
import { toHex } from '../../protocol/bytes.ts'
import { createSigner } from '../../protocol/crypto.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import { readFederation } from '../../protocol/federation.ts'
import { openLedgerSockets } from '../support/ledger-socket.ts'
import { cryptoRandom, realClock } from '../support/ledger-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import type { CallMessage, HubCalls, HubNote, HubSettings, ReplyMessage } from './calls.ts'

const settings = JSON.parse(process.argv[2]!) as HubSettings
plant(settings.bug)
const tell = (message: HubNote | ReplyMessage) => { if (process.connected) process.send!(message) }
// The parent is gone: nobody wants this hub any more.
process.on('disconnect', () => { process.exit(0) })

const ledger = await openLedger(
  { clock: realClock, random: cryptoRandom, log: quietLog(`hub${settings.hub}`), signer: createSigner(Buffer.from(settings.seed, 'hex')) },
  {
    dir: settings.dir, federation: readFederation(settings.federation), hubIndex: settings.hub,
    onFailed: (error) => { tell({ note: 'problem', text: `${error.code}: ${error.message}` }) },
  },
)
const sockets = await openLedgerSockets(ledger.sync, { hub: settings.hub, port: 0 }, (error) => {
  tell({ note: 'problem', text: `an honest hub was refused: ${error.message}` })
})
tell({ note: 'listening', port: sockets.port })
for (const { hub, port } of settings.dials) sockets.dial(hub, port)
const calls = callsOf(ledger)
process.on('message', (message) => { void answer(message as CallMessage) })
ledger.whenWritable({ signal: AbortSignal.timeout(600_000) }).then(() => { tell({ note: 'writable' }) }, (error: Error) => {
  tell({ note: 'problem', text: `not writable: ${error.message}` })
})

async function answer({ id, name, args }: CallMessage): Promise<void> {
  try {
    const call = calls[name] as (...given: readonly unknown[]) => Promise<unknown>
    tell({ id, result: await call(...args) })
  } catch (cause) {
    const error = toTriforceError(cause)
    const message = error.code === 'INTERNAL' && error.cause instanceof Error ? `${error.cause.stack}` : error.message
    tell({ id, error: { code: error.code, message, context: error.context } })
  }
}

function callsOf(hub: HubLedger): HubCalls {
  return {
    openAccount: (account) => hub.openAccount(account),
    grant: (grant) => hub.grant(grant),
    appendReceipt: (receipt) => hub.appendReceipt(receipt),
    hold: (ask) => hub.hold(ask),
    extend: (ask) => hub.extend(ask),
    progress: (note) => hub.progress(note),
    settle: (ask) => hub.settle(ask),
    expire: (hold) => hub.expire(hold),
    refund: (ask) => hub.refund(ask),
    money: (accounts) => Promise.resolve(accounts.map((account) => hub.money(account))),
    heads: () => Promise.resolve({ heads: headsText(hub), dump: dumpOf(hub) }),
    audit: () => hub.audit(),
    missingReceipts: async (ids) => {
      const missing: Uint8Array[] = []
      for (const id of ids) if (await hub.receipt(id) === undefined) missing.push(id)
      return missing
    },
    close: async () => {
      await hub.close()
      setImmediate(() => { process.exit(0) })
    },
  }
}

function headsText(hub: HubLedger): string {
  return hub.heads().filter(({ frames }) => frames > 0).map(({ hub: author, epoch, frames, hash }) => `${author}/${epoch}:${frames}:${toHex(hash)}`).join(' ')
}

function dumpOf(hub: HubLedger): string {
  const hash = createHash('sha256')
  const rows = hub.accounts().map(({ id, name, tier }) => {
    const { balance, quota } = hub.money(id)!
    const amounts = [balance.available, balance.held, balance.inflight, balance.frozen, balance.back, balance.debt]
    return `${toHex(id)} ${name} ${tier} ${amounts.join(' ')} ${quota.usedTokens}`
  })
  for (const row of rows.sort()) hash.update(`${row}\n`)
  return hash.digest('hex')
}
