/** Lending over HTTP, in front of a hub's real desk. */
import { expect } from 'chai'
import { createContributorGateway, type ContributorGateway, type LocalLending } from '../../node/contributor/contributor-gateway.ts'
import type { Registrar } from '../../node/contributor/registrar.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { createSigner } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { authorized, postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { testKey, type TestKey } from '../support/federation.ts'
import { lendingView } from '../support/lender-world.ts'
import { aMachine, lendingWorld } from '../support/lending-world.ts'

/** The body of the owner's plan, letter by letter. */
const planBody = {
  hardware: { gpu: 'RTX 4090', vram: 24, cuda_version: '12.4' },
  availability: { hours_per_day: 8, schedule: '18:00-02:00' },
  models: ['llama3.1:70b', 'qwen2.5:32b'],
}

// The scripted gateway of the test bridge knows one key; its signer is made from this seed.
const account = createSigner(new Uint8Array(32).fill(9))

describe('bridge: lending', () => {
  let bridge: TestBridge
  let world: Awaited<ReturnType<typeof lendingWorld>>
  afterEach(async () => { await bridge.stop() })

  async function start(own?: Parameters<typeof createContributorGateway>[0]['own']): Promise<ContributorGateway> {
    world = await lendingWorld()
    world.ledger.addAccount(account.publicKey, { name: 'local', tier: 'unlimited' })
    const gateway = createContributorGateway({ ask: async (act, order) => await world.ask(act, order), writer: world.writer, ...(own === undefined ? {} : { own }) })
    bridge = await startTestBridge({}, { contributor: gateway })
    return gateway
  }
  async function call(path: string, init: RequestInit = authorized()): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${bridge.url}/v1/contributor/${path}`, init)
    return { status: response.status, body: await response.json() as Record<string, unknown> }
  }
  const registered = async (body: unknown) => await call('register', postJson(body))
  const problemOf = ({ status, body }: { status: number; body: Record<string, unknown> }) => [status, (body['error'] as { message: string }).message] as const

  describe('at a hub', () => {
    it('takes the body of the plan and answers with class, rate, probation, check and what is missing', async () => {
      await start()
      const { status, body } = await registered(planBody)
      expect(status).to.equal(200)
      expect(body).to.deep.include({
        object: 'contributor.registration', node: null, name: 'RTX 4090', account_name: 'local', class: 'rtx-4090', credits_per_hour: '80', micro_credits_per_hour: '80000000',
        standby_credits_per_hour: '24', models: planBody.models, availability: planBody.availability, connected: false, notes: [],
      })
      expect(body['hardware']).to.deep.include({ gpu: 'RTX 4090', vram: 24, cuda_version: '12.4' })
      expect(body['probation']).to.deep.equal({ active: true, held_back_percent: 50, jobs: 0, jobs_needed: 50, first_job_at: null, ends_at_earliest: null })
      expect((body['missing'] as { what: string }[]).map(({ what }) => what)).to.deep.equal(['node'])
      expect(body['next']).to.match(/^RTX 4090 is announced\. It earns once a node runs on it; .*--mode contributor/)
    })

    it('lists, changes and removes; the same announcement again is the same machine', async () => {
      await start()
      const id = (await registered(planBody)).body['id'] as string
      world.clock.advance(5)
      expect((await registered(planBody)).body['id']).to.equal(id)
      world.clock.advance(5)
      const changed = await call(`registrations/${id}`, { ...postJson({ availability: { schedule: '22:00-06:00' } }), method: 'PATCH' })
      expect(changed.body).to.deep.include({ id, availability: { hours_per_day: null, schedule: '22:00-06:00' }, models: planBody.models })
      expect((await call('registrations')).body['data']).to.have.length(1)
      expect((await call(`registrations/${id}`, authorized({ method: 'DELETE' }))).body).to.deep.equal({ ok: true })
      expect((await call('registrations')).body['data']).to.have.length(0)
      expect((await call(`registrations/${id}`, authorized({ method: 'DELETE' }))).status).to.equal(404)
    })

    it('reads "2x A100" as two cards, and no card as a processor', async () => {
      await start()
      const two = await registered({ hardware: { gpu: '2x A100', vram: 160 } })
      expect((two.body['hardware'] as { gpus: unknown[] }).gpus).to.deep.equal([{ gpu: 'A100', vram: 80 }, { gpu: 'A100', vram: 80 }])
      expect(two.body['name']).to.equal('2x A100')
      expect((await registered({ hardware: { gpu: '', vram: 0 } })).body).to.deep.include({ class: 'cpu', credits_per_hour: '2' })
    })

    it('says which field is wrong, and refuses what no machine has', async () => {
      await start()
      for (const [body, says] of [
        [{}, 'hardware: is missing'],
        [{ hardware: { gpu: 'RTX 4090' } }, 'hardware.vram: is missing'],
        [{ hardware: { gpu: 'RTX 4090', vram: '24' } }, 'hardware.vram: expected number'],
        [{ hardware: { gpu: 'RTX 4090', vram: 5_000 } }, 'hardware.vram: no card has so much memory'],
        [{ hardware: { gpu: '<script>', vram: 24 } }, 'hardware.gpu: must be the name of a graphics card'],
        [{ ...planBody, availability: { schedule: 'at night' } }, 'availability.schedule: must be two times of the day, such as 18:00-02:00'],
        [{ ...planBody, availability: { hours_per_day: 25 } }, 'availability.hours_per_day: must be at most 24'],
        [{ ...planBody, models: ['with space'] }, 'models[0]: must be printable ASCII'],
        [{ ...planBody, models: Array.from({ length: 33 }, () => 'm') }, 'models: must have at most 32 items'],
      ] as const) {
        const [status, message] = problemOf(await registered(body))
        expect(status, message).to.equal(400)
        expect(message).to.contain(says)
      }
      expect(problemOf(await call('registrations/reg_12', { ...postJson({}), method: 'PATCH' }))[0]).to.equal(400)
    })

    it('asks for a key everywhere', async () => {
      await start()
      for (const [path, method] of [['register', 'POST'], ['registrations', 'GET'], ['status', 'GET'], [`registrations/reg_${'0'.repeat(32)}`, 'DELETE']] as const) {
        expect((await call(path, { method })).status, path).to.equal(401)
      }
    })

    it('leaves the settings of a machine to the machine itself', async () => {
      await start()
      const node = testKey()
      await world.register(node, {}, { signer: account } as TestKey)
      const [machine] = (await call('registrations')).body['data'] as { id: string; node: string }[]
      expect(machine?.node).to.equal(node.peerId)
      expect(problemOf(await call(`registrations/${machine!.id}`, { ...postJson({ models: [] }), method: 'PATCH' }))).to.deep.equal([403, 'only the machine "gpu-box" itself can change that; ask its own API'])
      world.clock.advance(1)
      expect((await call(`registrations/${machine!.id}?revoke=true`, authorized({ method: 'DELETE' }))).status).to.equal(200)
      expect(world.ledger.revoked.size).to.equal(1)
    })
  })

  describe('at the machine itself', () => {
    const node = testKey()
    const local: LocalLending = {
      name: 'gpu-box', hubs: [{ name: 'alpha', connected: true, registered: true, problem: undefined }], models: ['tiny'],
      jobs: { running: 0, queued: 0, served: 3, failed: 0, slots: 4 }, refused: [{ code: 'QUEUE_FULL', count: 2 }], uploadMbits: 94.2, rttMs: 12, left: false, lender: lendingView, nowMs: 0,
    }
    const ownWith = (registrar: Partial<Registrar>) => ({ signer: node.signer, local: () => local, registrar: { id: new Uint8Array(16).fill(7), answers: [], ...registrar } as Registrar })

    it('registers with what it is, and says where the body said otherwise', async () => {
      const changes: unknown[] = []
      await start(ownWith({
        async register(change, agreeing) {
          changes.push(change)
          return await world.register(node, { hardware: aMachine({ gpus: [{ name: 'NVIDIA GeForce RTX 3060', vramBytes: 12 * 1024 ** 3 }] }) }, { signer: agreeing } as TestKey)
        },
      }))
      const { body } = await registered(planBody)
      expect(changes).to.deep.equal([{ availability: { hoursPerDay: 8, schedule: '18:00-02:00' }, models: planBody.models }])
      expect(body).to.deep.include({ node: node.peerId, account_name: 'local' })
      expect(body['notes']).to.deep.equal(['the body says RTX 4090, and this machine has NVIDIA GeForce RTX 3060; it is registered with what it has'])
    })

    it('tells its operator everything without a key, in words and as data', async () => {
      await start(ownWith({}))
      await world.register(node, {}, { signer: account } as TestKey)
      const { status, body } = await call('status', {})
      expect(status).to.equal(200)
      expect(body['local']).to.deep.include({ upload_mbits: 94.2, refused: [{ code: 'QUEUE_FULL', count: 2 }] })
      expect(body['money']).to.deep.include({ held_back_credits: '0' })
      const words = (body['explanation'] as string[]).join('\n')
      for (const says of ['connected to 1 of 1 hubs (alpha); it sends 94 Mbit/s', 'QUEUE_FULL 2 times', 'class rtx-4090 and earns 80 credits an hour', 'nobody has asked hub alpha']) expect(words).to.contain(says)
      expect(words).to.contain('50 % of a newcomer\'s pay is held back until 50 jobs signed by both sides (0 so far)')
    })

    it('tells what it knows by itself where no hub answers', async () => {
      await start(ownWith({}))
      const { body } = await call('status', {})
      expect([body['machines'], body['money']]).to.deep.equal([[], null])
      expect((body['explanation'] as string[]).join('\n')).to.contain('What the hubs know of it cannot be told now')
    })

    it('does not let another account decide about it', async () => {
      const info = { account: accountIdOf(testKey().signer.publicKey) } as never
      await start(ownWith({
        answers: [{ hub: 'alpha', info, error: undefined }],
        register: () => Promise.reject(new TriforceError('INTERNAL')), unregister: () => Promise.reject(new TriforceError('INTERNAL')),
      }))
      const id = `reg_${'07'.repeat(16)}`
      const says = [403, 'this machine earns for another account; use an API key of that one']
      expect(problemOf(await registered(planBody))).to.deep.equal(says)
      expect(problemOf(await call(`registrations/${id}`, { ...postJson({}), method: 'PATCH' }))).to.deep.equal(says)
      expect(problemOf(await call(`registrations/${id}`, authorized({ method: 'DELETE' })))).to.deep.equal(says)
    })
  })
})
