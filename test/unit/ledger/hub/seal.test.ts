/** What one dishonest hub cannot bring another one to: the whole way of a seal is in test/integration/ledger-seal.test.ts. */
import { expect } from 'chai'
import { foldFrame } from '../../../../ledger/fold/frame-fold.ts'
import { createState } from '../../../../ledger/fold/state.ts'
import type { HubEffect, HubMessage } from '../../../../ledger/hub/events.ts'
import { signPromise, signSeal } from '../../../../ledger/hub/seal-documents.ts'
import { createSeal } from '../../../../ledger/hub/seal.ts'
import { createHub } from '../../../../ledger/hub/step.ts'
import { contextOf, logBuilder } from '../../../support/ledger-frames.ts'
import { testWorld } from '../../../support/ledger-world.ts'

const world = testWorld()
const context = contextOf(world)

/** Hub 1, connected to both others. */
function hubOne() {
  const logs = [0, 1, 2].map((hub) => logBuilder(world, hub))
  const state = createState(context.network, context.hubKeys)
  for (const log of logs) foldFrame(state, log.next([]))
  const seal = createSeal({ ...context, signer: world.hubs[1]!.signer, tailOf: (log) => logs[log.hub]!.tail }, { rows: new Map(), nowMs: 0 })
  const hub = createHub({ network: context.network, me: 1, state, machines: [seal.step] })
  for (const other of [0, 2]) hub.connected.add(other)
  hub.writing = { hub: 1, epoch: 1 }
  const { no, hash } = logs[0]!.tail
  const log = { hub: 0, epoch: 1 }
  const take = (message: HubMessage) => {
    const effects: HubEffect[] = [...seal.step(hub, { type: 'message', hub: 2, message }, 1)]
    for (const effect of effects) if (effect.type === 'persist') effects.push(...seal.step(hub, { type: 'persisted', key: effect.key }, 1))
  }
  return { seal, take, hub, state, log, end: { log, no, hash } }
}

describe('ledger/hub: seals', () => {
  it('does not fence a hub that is there because a third one has signed', () => {
    const { seal, take, state, log, end } = hubOne()
    const { signer } = world.hubs[2]!
    take({ t: 'sealAsk', log, forced: false })
    take({ t: 'sealCertificate', log, signatures: [signSeal(signer, context.network, end)] })
    take({ t: 'sealPromise', document: signPromise(signer, context.network, end) })
    expect([seal.limitOf(state, log), seal.endOf(log)]).to.deep.equal([Infinity, undefined])
  })

  it('signs what it has promised once, though it took that back and the hub is there again', () => {
    const { seal, take, hub, state, log, end } = hubOne()
    const { signer } = world.hubs[2]!
    hub.connected.delete(0)
    take({ t: 'sealAsk', log, forced: false })
    expect(seal.limitOf(state, log)).to.equal(end.no)
    hub.connected.add(0)
    seal.step(hub, { type: 'tick' }, 20_000)
    seal.step(hub, { type: 'persisted', key: 'seal/0/1' }, 20_000)
    expect(seal.limitOf(state, log)).to.equal(Infinity)
    take({ t: 'sealCertificate', log, signatures: [signSeal(signer, context.network, end)] })
    take({ t: 'sealPromise', document: signPromise(signer, context.network, end) })
    expect(seal.endOf(log)?.no).to.equal(end.no)
  })
})
