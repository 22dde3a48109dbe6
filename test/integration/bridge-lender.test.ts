/** Controls of a machine over HTTP: what they do, and who may. */
import { expect } from 'chai'
import { TriforceError } from '../../protocol/errors.ts'
import { authorized, postJson, startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { lenderWorld } from '../support/lender-world.ts'

const TOKEN = 'tfa-the-token-of-the-folder'
const asOwner = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }

describe('bridge: controls of a machine', () => {
  let bridge: TestBridge
  let world: ReturnType<typeof lenderWorld>
  let isOwner = true
  beforeEach(async () => {
    isOwner = true
    world = lenderWorld({ startMs: Date.now(), checkOwner: () => { if (!isOwner) throw new TriforceError('FORBIDDEN') } })
    bridge = await startTestBridge({}, { lender: { lender: world.lender, adminToken: TOKEN } })
  })
  afterEach(async () => { await bridge.stop() })

  async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = asOwner): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${bridge.url}/v1/contributor/${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    return { status: response.status, body: await response.json() as Record<string, unknown> }
  }

  it('pauses, resumes and drains, and says what it did', async () => {
    const paused = await call('POST', 'pause', {})
    expect([paused.status, paused.body['lending'], paused.body['not_lending'], paused.body['changes_at']]).to.deep.equal([200, false, [{ why: 'paused', until: null, detail: null }], null])
    expect(paused.body['explanation']).to.deep.equal(['It does not lend now: it is paused. To lend it again: triforce resume.'])
    expect((await call('POST', 'resume', {})).body['lending']).to.equal(true)
    expect((await call('POST', 'drain', {})).body['not_lending']).to.deep.equal([{ why: 'draining', until: null, detail: null }])
    await call('POST', 'resume', {})
    expect((await call('POST', 'pause', { for_minutes: 90 })).body['changes_at']).to.be.closeTo(world.clock.now() + 90 * 60_000, 60_000)
  })

  it('changes settings one by one, takes them back with null, and keeps the rest', async () => {
    const wished = { schedule: '18:00-02:00', days: ['fri', 'sat'], time_zone: 'Europe/Berlin', hours_per_day: 8, upload_mbits: 2, download_mbits: 20, vram_gb: 12, power_watts: 250, yield_to: 'gpu', friends: ['ab'.repeat(16)] }
    expect((await call('PATCH', 'controls', wished)).body['settings']).to.deep.equal(wished)
    expect((await call('PATCH', 'controls', { upload_mbits: null, friends: null })).body['settings']).to.deep.equal({ ...wished, upload_mbits: null, friends: [] })
    expect((await call('GET', 'controls', undefined, {})).body['settings']).to.deep.equal({ ...wished, upload_mbits: null, friends: [] })
  })

  it('refuses what cannot be, names the field, and changes nothing', async () => {
    const before = (await call('GET', 'controls')).body['settings']
    for (const [wrong, problem] of [
      [{ schedule: 'nights' }, /^schedule: must be two times/], [{ time_zone: 'Berlin' }, /time_zone: "Berlin" is no time zone/], [{ hours_per_day: 25 }, /hours_per_day/],
      [{ upload_mbits: 0 }, /upload_mbits/], [{ friends: ['bob'] }, /friends/], [{ power_watts: -1 }, /power_watts/], [{ bandwidth: 3 }, /bandwidth/], [{ days: ['someday'] }, /days/],
    ] as const) {
      const { status, body } = await call('PATCH', 'controls', wrong)
      expect([status, JSON.stringify(wrong)]).to.deep.equal([400, JSON.stringify(wrong)])
      expect((body['error'] as { message: string }).message).to.match(problem)
    }
    expect((await call('GET', 'controls')).body['settings']).to.deep.equal(before)
  })

  it('obeys the folder\'s token and the account that it earns for, and nobody else', async () => {
    const paths = [['POST', 'pause'], ['POST', 'resume'], ['POST', 'drain'], ['PATCH', 'controls']] as const
    for (const [method, path] of paths) {
      for (const headers of [{}, { authorization: 'Bearer tfa-another' }]) expect((await call(method, path, {}, { 'content-type': 'application/json', ...headers })).status, path).to.equal(401)
      const { headers } = authorized()
      expect((await call(method, path, {}, { 'content-type': 'application/json', ...headers as Record<string, string> })).status, path).to.equal(200)
      isOwner = false
      expect((await fetch(`${bridge.url}/v1/contributor/${path}`, { ...postJson({}), method })).status, path).to.equal(403)
      isOwner = true
    }
    await call('POST', 'resume', {})
  })

  it('cannot be reached by a page that a browser shows: no answer is for its origin, and its Host is not ours', async () => {
    const simple = await fetch(`${bridge.url}/v1/contributor/pause`, { method: 'POST', headers: { origin: 'https://evil.example', 'content-type': 'text/plain' }, body: '{}' })
    expect([simple.status, simple.headers.get('access-control-allow-origin')]).to.deep.equal([401, null])
    expect(world.lender.view().state.reasons).to.deep.equal([])
    const preflight = await fetch(`${bridge.url}/v1/contributor/controls`, { method: 'OPTIONS', headers: { origin: 'https://evil.example', 'access-control-request-method': 'PATCH' } })
    expect(preflight.headers.get('access-control-allow-methods')).to.equal(null)
  })
})
