import { expect } from 'chai'
import { createExchange } from '../../../../ledger/reconcile/exchange.ts'
import { emptyTail, type LogTail } from '../../../../ledger/frame.ts'
import { logName } from '../../../../ledger/store/log-store.ts'
import { encodeLedgerMessage } from '../../../../protocol/messages/ledger.ts'
import { quietLog } from '../../../support/quiet-log.ts'

const log = { hub: 1, epoch: 7 }
const hash = (fill: number) => new Uint8Array(32).fill(fill)

/** Hub 1 with its own log up to frame 88, no disk and no time. */
function exchangeOf(limitOf: () => number) {
  const tail: LogTail = { ...emptyTail(log), no: 88, hash: hash(88) }
  const nothing = () => Promise.resolve(undefined)
  return createExchange({
    store: { tails: new Map([[logName(log), tail]]), frameBytes: () => Promise.resolve([]), frame: nothing, rawFrame: nothing },
    lane: { tailOf: () => tail, hashOf: (_, no) => Promise.resolve(hash(no)), offer: () => {}, room: () => Promise.resolve(), between: (run) => { void run() } },
    context: { network: 'net', hubKeys: [hash(1), hash(2), hash(3)] }, ownTail: () => undefined, isWriting: () => false, limitOf, onSeal: () => {},
    recent: { range: () => [] }, mayAck: () => true, log: quietLog('exchange'), clock: { after: () => () => {} },
    onChange: () => {}, onAcked: () => {}, onForked: () => {}, onDamaged: () => {}, onConnected: () => {}, onDisconnected: () => {}, onMessage: () => {},
  }, { network: 'net', hub: 1 })
}

describe('ledger/reconcile/exchange', () => {
  it('takes another version of an own frame that a peer named for news, until the log is sealed where ours ends', async () => {
    let limit = Number.POSITIVE_INFINITY
    const exchange = exchangeOf(() => limit)
    exchange.sync.connected(0, () => true)
    await exchange.sync.receive(0, encodeLedgerMessage({ t: 'hello', v: 1, network: 'net', heads: [{ log, no: 28, hash: hash(99) }] }))
    expect(exchange.ownLogsBehind()).to.deep.equal([log])
    // The peer has moved its version aside by then, so the frame that was asked for never comes.
    limit = 88
    expect(exchange.ownLogsBehind()).to.deep.equal([])
    limit = 90
    expect(exchange.ownLogsBehind()).to.deep.equal([log])
  })
})
