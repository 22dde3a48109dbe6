import { expect } from 'chai'
import { createOrderWriter } from '../../../../node/contributor/orders.ts'
import { machineIdOf } from '../../../../node/contributor/registry.ts'
import { controlAskSchema } from '../../../../protocol/messages/control.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { codeOf } from '../../../support/code-of.ts'
import { aCapacity, aModel } from '../../../support/completions.ts'
import { testKey } from '../../../support/federation.ts'
import { aMachine, lendingWorld, memoryStore, registerBody } from '../../../support/lending-world.ts'

const GIB = 1024 ** 3
const HOUR = 3_600_000

describe('node/contributor/contributor-desk', () => {
  describe('registering', () => {
    it('binds the node to the account that agreed, and answers with class, rate, probation, check and what is missing', async () => {
      const { register, ledger, account, node } = await lendingWorld()
      const info = await register()
      expect(ledger.apiKey(node.signer.publicKey)?.account).to.deep.equal(account.id)
      expect(info).to.deep.include({ account: account.id, accountName: 'alice', node: node.signer.publicKey, name: 'gpu-box', missing: [], connected: true })
      expect(info.devices).to.deep.equal([{ device: 'NVIDIA GeForce RTX 4090', class: 'rtx-4090', busyPerHour: '40000000', standbyPerHour: '12000000' }])
      expect(info.probation).to.deep.equal({ active: true, receipts: 0, receiptsMin: 50, ageMsMin: 7 * 24 * HOUR, backPercent: 50 })
      expect(info.check.state).to.equal('claimed')
    })

    it('says what is missing, also models that the machine does not offer', async () => {
      const { register, table, node, clock } = await lendingWorld()
      const hardware = aMachine({ gpus: [], ramBytes: 8 * GIB, uploadMbits: 20, engines: [] })
      expect((await register(node, { hardware, models: ['tiny', 'llama3.1:70b'] })).missing.map(({ what, level }) => `${what} ${level}`))
        .to.deep.equal(['gpu minimum', 'memory minimum', 'upload minimum', 'engine minimum'])
      table.put(aCapacity({ peer: node.signer.publicKey, models: [aModel()] }, clock.now()))
      clock.advance(1)
      expect((await register(node, { models: ['tiny', 'llama3.1:70b'] })).missing).to.deep.equal([
        { what: 'models', level: 'minimum', have: 'not offered', need: 'llama3.1:70b', fix: 'triforce models pull llama3.1:70b' },
      ])
    })

    it('needs no agreement once the key is bound, also when an admin bound it', async () => {
      const { register, ledger, account, node, clock } = await lendingWorld()
      await ledger.addKey({ publicKey: node.signer.publicKey, account: account.id, name: 'by the admin' })
      expect((await register(node, {}, null)).accountName).to.equal('alice')
      clock.advance(1)
      expect((await register(node, { name: 'renamed' }, null)).name).to.equal('renamed')
    })

    it('takes an order whoever brings it, and the same one again as the same', async () => {
      const { ask, writer, owner, node, registry } = await lendingWorld()
      const [order, consent] = [writer.order(node.signer, registerBody()), writer.consent(owner.signer, node.signer.publicKey)]
      const first = await ask('register', order, consent, 'one peer')
      expect(await ask('register', order, consent, 'another peer')).to.deep.equal(first)
      expect(registry.size).to.equal(1)
    })
  })

  describe('refuses', () => {
    it('a machine for which no account has agreed', async () => {
      const { register, node, ledger } = await lendingWorld()
      expect(await codeOf(register(node, {}, null))).to.equal('FORBIDDEN')
      expect(ledger.apiKey(node.signer.publicKey)).to.equal(undefined)
    })

    it('the agreement of a key that is none, and one for another machine', async () => {
      const { ask, writer, owner, node, register } = await lendingWorld()
      expect(await codeOf(register(node, {}, testKey()))).to.equal('INVALID_API_KEY')
      const order = writer.order(node.signer, registerBody())
      expect(await codeOf(ask('register', order, writer.consent(owner.signer, testKey().signer.publicKey)))).to.equal('FORBIDDEN')
    })

    it('somebody else\'s node: an order that its key did not sign', async () => {
      const { ask, writer, owner, node } = await lendingWorld()
      const thief = testKey()
      const forged = { ...writer.order(thief.signer, registerBody()), key: node.signer.publicKey }
      expect(await codeOf(ask('register', forged, writer.consent(owner.signer, node.signer.publicKey)))).to.equal('SIGNATURE_INVALID')
      // A document of another kind is no order, whoever signed it.
      const consent = signDocument(node.signer, 'lendingConsent', { ...registerBody(), v: 1, network: 'net', sentAt: 1_800_000_000_000 })
      expect(await codeOf(ask('register', consent))).to.equal('SIGNATURE_INVALID')
    })

    it('a machine that earns for another account', async () => {
      const { register, node, ledger, clock } = await lendingWorld()
      await register()
      const mallory = testKey()
      ledger.addAccount(mallory.signer.publicKey, { name: 'mallory' })
      clock.advance(1)
      expect(await codeOf(register(node, {}, mallory))).to.equal('FORBIDDEN')
    })

    it('an old order, one from the future, and one of another federation', async () => {
      const { ask, writer, owner, node, clock } = await lendingWorld()
      const order = writer.order(node.signer, registerBody())
      const consent = writer.consent(owner.signer, node.signer.publicKey)
      clock.advance(60_001)
      expect(await codeOf(ask('register', order, consent))).to.equal('FORBIDDEN')
      const foreign = createOrderWriter({ clock }, { network: 'other' })
      expect(await codeOf(ask('register', foreign.order(node.signer, registerBody())))).to.equal('FORBIDDEN')
      const ahead = createOrderWriter({ clock: { ...clock, now: () => clock.now() + 60_001 } }, { network: 'net' })
      expect(await codeOf(ask('register', ahead.order(node.signer, registerBody()), writer.consent(owner.signer, node.signer.publicKey)))).to.equal('FORBIDDEN')
      // An old agreement with a new order is as old.
      expect(await codeOf(ask('register', writer.order(node.signer, registerBody()), consent))).to.equal('FORBIDDEN')
    })

    it('the replay of an earlier order after a later one', async () => {
      const { ask, writer, register, node, registry, clock } = await lendingWorld()
      const early = writer.order(node.signer, registerBody({ name: 'early' }))
      clock.advance(10)
      await register(node, { name: 'late' })
      expect(await codeOf(ask('register', early))).to.equal('FORBIDDEN')
      expect(registry.ofNode(node.signer.publicKey)?.claims.name).to.equal('late')
    })

    it('claims beyond what can be written down, and more cards than an announcement holds', async () => {
      const { register, node } = await lendingWorld()
      const gpu = { name: 'H100', vramBytes: 80 * GIB }
      for (const hardware of [
        aMachine({ gpus: [{ name: 'H100', vramBytes: 1024 ** 5 }] }), aMachine({ gpus: Array.from({ length: 17 }, () => gpu) }), aMachine({ gpus: [{ name: 'H100', vramBytes: -1 }] }),
        aMachine({ cpu: 'x'.repeat(257) }), aMachine({ uploadMbits: 1e9 }), aMachine({ cores: 1.5 }),
      ]) expect(await codeOf(register(node, { hardware }))).to.equal('FRAME_MALFORMED')
    })

    it('an order that would fill the disk with fields that nobody knows; the longest honest one fits', async () => {
      const { writer, node } = await lendingWorld()
      const names = aMachine({ gpus: Array.from({ length: 16 }, () => ({ name: '\u{ffff}'.repeat(256), vramBytes: GIB })), cpu: '\u{ffff}'.repeat(256) })
      const largest = registerBody({ hardware: names, models: Array.from({ length: 32 }, () => 'm'.repeat(128)) })
      const isTaken = (body: object) => controlAskSchema.safeParse({ t: 'contributor', order: writer.order(node.signer, body as typeof largest) }).success
      expect([isTaken(largest), isTaken({ ...largest, more: 'x'.repeat(10_000) })]).to.deep.equal([true, false])
    })

    it('an account\'s own key as the key of a machine, which would lock the account out', async () => {
      const { register, owner } = await lendingWorld()
      expect(await codeOf(register(owner, {}, null))).to.equal('FORBIDDEN')
    })

    it('too many machines of one account, too many orders of one peer', async () => {
      const { register, clock } = await lendingWorld()
      for (let count = 0; count < 60; count += 1) await register(testKey())
      expect(await codeOf(register(testKey()))).to.equal('RATE_LIMITED')
      clock.advance(60_000)
      for (let count = 0; count < 4; count += 1) await register(testKey())
      expect(await codeOf(register(testKey()))).to.equal('FORBIDDEN')
    })

    it('machines beyond what the hub can keep, but not the refresh of a known one', async () => {
      const { register, node } = await lendingWorld({ registry: { registrationsMax: 1 } })
      await register()
      expect(await codeOf(register(testKey()))).to.equal('QUEUE_FULL')
      expect((await register(node, { name: 'again' })).name).to.equal('again')
    })
  })

  describe('announced over HTTP, before its node is there', () => {
    const announcement = { do: 'announce', name: 'RTX 4090', hardware: aMachine({ gpus: [{ name: 'RTX 4090', vramBytes: 24 * GIB }] }), availability: { hoursPerDay: 8 }, models: [] } as const

    it('is listed with what it would earn, and comes true with the node', async () => {
      const { ask, writer, owner, register, registry, account } = await lendingWorld()
      const info = await ask('announce', writer.order(owner.signer, { ...announcement, models: [] }))
      expect(info).to.not.have.property('node')
      expect(info.devices[0]).to.deep.include({ class: 'rtx-4090', busyPerHour: '40000000' })
      expect(info.missing[0]?.what).to.equal('node')
      await register()
      expect(registry.ofAccount(account.id).map(({ node }) => node === undefined)).to.deep.equal([false])
    })

    it('stays where a machine with other hardware registers', async () => {
      const { ask, writer, owner, register, registry, account, node } = await lendingWorld()
      await ask('announce', writer.order(owner.signer, { ...announcement, models: [] }))
      await register(node, { hardware: aMachine({ gpus: [] }) })
      expect(registry.ofAccount(account.id).length).to.equal(2)
    })

    it('is passed on to the other hubs once, and not back', async () => {
      const { ask, writer, owner, passedOn } = await lendingWorld()
      const order = writer.order(owner.signer, { ...announcement, models: [] })
      await ask('announce', order)
      await ask('announce', order, undefined, 'a hub')
      expect(passedOn).to.deep.equal([order])
    })

    it('needs a key of the account: a node\'s is none', async () => {
      const { ask, writer, node, register } = await lendingWorld()
      await register()
      expect(await codeOf(ask('announce', writer.order(node.signer, { ...announcement, models: [] })))).to.equal('INVALID_API_KEY')
      expect(await codeOf(ask('announce', writer.order(testKey().signer, { ...announcement, models: [] })))).to.equal('INVALID_API_KEY')
    })
  })

  describe('unregistering', () => {
    const idOf = (key = testKey()) => machineIdOf(key.signer.publicKey)

    it('by the machine or by its account; the node that runs stays out, one that starts later is let in', async () => {
      for (const who of ['node', 'owner'] as const) {
        const world = await lendingWorld()
        const { ask, writer, register, node, clock, registry, passedOn } = world
        await register()
        clock.advance(1_000)
        await ask('unregister', writer.order(world[who].signer, { do: 'unregister', id: idOf(node), revoke: false }))
        expect(passedOn.length).to.equal(1)
        expect(registry.ofAccount(world.account.id)).to.deep.equal([])
        clock.advance(1_000)
        expect(await codeOf(register())).to.equal('UNREGISTERED')
        expect(await codeOf(ask('status', writer.order(node.signer, { do: 'status' })))).to.equal('UNREGISTERED')
        expect((await register(node, { startedAt: clock.now() })).name).to.equal('gpu-box')
      }
    })

    it('for good: the key never earns again', async () => {
      const { ask, writer, register, node, owner, ledger, clock } = await lendingWorld()
      await register()
      clock.advance(1_000)
      await ask('unregister', writer.order(owner.signer, { do: 'unregister', id: idOf(node), revoke: true }))
      expect(ledger.apiKey(node.signer.publicKey)).to.equal(undefined)
      clock.advance(1_000)
      expect(await codeOf(register(node, { startedAt: clock.now() }))).to.equal('ENTRY_INVALID')
    })

    it('not by others', async () => {
      const { ask, writer, register, node, ledger, registry } = await lendingWorld()
      await register()
      const mallory = testKey()
      ledger.addAccount(mallory.signer.publicKey, { name: 'mallory' })
      const other = testKey()
      await register(other, {})
      for (const [key, code] of [[mallory, 'NOT_FOUND'], [testKey(), 'INVALID_API_KEY'], [other, 'INVALID_API_KEY']] as const) {
        expect(await codeOf(ask('unregister', writer.order(key.signer, { do: 'unregister', id: idOf(node), revoke: true })))).to.equal(code)
      }
      expect(await codeOf(ask('unregister', writer.order(node.signer, { do: 'unregister', id: idOf(), revoke: true })))).to.equal('NOT_FOUND')
      expect(registry.ofNode(node.signer.publicKey)?.leftAt).to.equal(undefined)
    })
  })

  describe('telling', () => {
    it('an account of all its machines, a machine of itself alone, a stranger of nothing', async () => {
      const { ask, writer, register, node, owner, ledger } = await lendingWorld()
      await register()
      await register(testKey(), { name: 'second' })
      const mallory = testKey()
      ledger.addAccount(mallory.signer.publicKey, { name: 'mallory' })
      const names = async (key = owner) => (await ask('list', writer.order(key.signer, { do: 'list' }))).registrations.map(({ name }) => name).sort()
      expect(await names()).to.deep.equal(['gpu-box', 'second'])
      expect(await names(node)).to.deep.equal(['gpu-box'])
      expect(await names(mallory)).to.deep.equal([])
      expect(await codeOf(names(testKey()))).to.equal('INVALID_API_KEY')
    })

    it('what was earned by which device at which rate, what is held back, and which jobs passed it by', async () => {
      const { ask, writer, register, node, ledger, table, passedBy, clock } = await lendingWorld()
      await register()
      table.put(aCapacity({ peer: node.signer.publicKey, models: [aModel({ id: 'tiny' })] }, clock.now()))
      passedBy.got('tiny', 'somebody else')
      passedBy.passed(node.peerId, 'busy')
      const contributor = node.signer.publicKey
      const record = { contributor, device: 'NVIDIA GeForce RTX 4090', receipts: 3, firstAt: clock.now(), earned: 46_000_000n, paid: 40_000_000n, time: [{ microCreditsPerHour: 40_000_000n, ms: HOUR }, { microCreditsPerHour: 12_000_000n, ms: HOUR / 2 }] }
      ledger.lendingOf = { ...ledger.lendingOf, devices: [record, { ...record, contributor: testKey().signer.publicKey }] }
      ledger.moneyOf = { ...ledger.moneyOf, balance: { ...ledger.moneyOf.balance, back: 20_000_000n, available: 20_000_000n }, earnedPaid: 40_000_000n, earnedUnpaid: 6_000_000n }
      const { machines, money, hub } = await ask('status', writer.order(node.signer, { do: 'status' }))
      expect(hub).to.equal('alpha')
      expect(machines.length).to.equal(1)
      expect(machines[0]?.earned).to.deep.equal([{
        device: 'NVIDIA GeForce RTX 4090', receipts: 3, firstAt: clock.now(), earned: '46000000', paid: '40000000',
        time: [{ microCreditsPerHour: '40000000', ms: HOUR }, { microCreditsPerHour: '12000000', ms: HOUR / 2 }],
      }])
      expect(machines[0]?.passedBy).to.deep.include({ asked: 1, got: 0, reasons: [{ reason: 'busy', count: 1 }] })
      expect(money).to.deep.equal({ unpaid: '6000000', paid: '40000000', heldBack: '20000000', available: '20000000' })
    })
  })

  describe('over a restart', () => {
    it('knows machines, those that left, and that their keys are no API keys', async () => {
      const store = memoryStore()
      const first = await lendingWorld({ store })
      const gone = testKey()
      await first.register()
      await first.register(gone, { name: 'gone' })
      first.clock.advance(5)
      await first.ask('unregister', first.writer.order(gone.signer, { do: 'unregister', id: machineIdOf(gone.signer.publicKey), revoke: false }))
      store.files.set('bad', new Uint8Array([1, 2, 3]))
      const { registry } = await lendingWorld({ store })
      expect(registry.size).to.equal(2)
      expect(registry.ofAccount(first.account.id).map(({ claims }) => claims.name)).to.deep.equal(['gpu-box'])
      expect(registry.ofNode(gone.signer.publicKey)?.leftAt).to.be.a('number')
      for (const key of [first.node, gone]) expect(registry.isNodeKey(key.signer.publicKey)).to.equal(true)
      expect(registry.isNodeKey(first.owner.signer.publicKey)).to.equal(false)
    })
  })
})
