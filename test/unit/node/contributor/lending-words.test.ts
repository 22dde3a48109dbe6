import { expect } from 'chai'
import type { LendingReport, LocalLending } from '../../../../node/contributor/contributor-gateway.ts'
import { lendingWords } from '../../../../node/contributor/lending-words.ts'
import type { LendingStatus, RegistrationInfo } from '../../../../protocol/messages/contributor.ts'
import { lendingView } from '../../../support/lender-world.ts'
import { aMachine } from '../../../support/lending-world.ts'

const DAY = 86_400_000
const AT = Date.UTC(2026, 2, 1, 12)

const registration: RegistrationInfo = {
  id: new Uint8Array(16), account: new Uint8Array(16), accountName: 'alice', tier: 'contributor', node: new Uint8Array(32), name: 'gpu-box', hardware: aMachine(), availability: {}, models: [],
  devices: [{ device: 'RTX 4090', class: 'rtx-4090', busyPerHour: '40000000', standbyPerHour: '12000000' }],
  probation: { active: true, receipts: 12, receiptsMin: 50, firstAt: AT, ageMsMin: 7 * DAY, backPercent: 50 }, check: { state: 'claimed', text: 'nobody looked' }, missing: [],
  registeredAt: AT, updatedAt: AT, connected: true,
}
const local: LocalLending = {
  name: 'gpu-box', hubs: ['alpha', 'beta', 'gamma'].map((name) => ({ name, connected: true, registered: true, problem: undefined })), models: ['tiny'],
  jobs: { running: 1, queued: 0, served: 5, failed: 0, slots: 4 }, refused: [], uploadMbits: undefined, rttMs: undefined, left: false,
  lender: lendingView, nowMs: AT,
}
type Machine = LendingStatus['machines'][number]

function wordsOf(part: { machine?: Partial<Machine>; local?: Partial<LocalLending>; problem?: string; machines?: readonly Machine[] } = {}): string {
  const machines = part.machines ?? [{ registration, earned: [], ...part.machine }]
  const status: LendingStatus = { hub: 'alpha', machines: [...machines], money: { unpaid: '6000000', paid: '40000000', heldBack: '20000000', available: '0' } }
  const report: LendingReport = { local: part.local === undefined ? undefined : { ...local, ...part.local }, status: part.problem === undefined ? status : undefined, problem: part.problem }
  return lendingWords(report).join('\n')
}

describe('node/contributor/lending-words', () => {
  it('says what was earned at which rate, and what is held back until when', () => {
    const earned = [{ device: 'RTX 4090', receipts: 12, firstAt: AT, earned: '46000000', paid: '40000000', time: [{ microCreditsPerHour: '40000000', ms: 3_900_000 }, { microCreditsPerHour: '12000000', ms: 250 }] }]
    const words = wordsOf({ machine: { earned } })
    expect(words).to.contain('RTX 4090 has earned 46 credits: 1 h 5 min at 40 credits an hour and 0.3 s at 12 credits an hour; 12 jobs were signed by both sides.')
    expect(words).to.contain('has been paid 40 credits for lending, 6 credits more come with the next pay (every few minutes), and 20 credits of the pay are held back.')
    expect(words).to.contain('50 % of a newcomer\'s pay is held back until 50 jobs signed by both sides (12 so far) and 2026-03-08 12:00 UTC, 7 days after the first one; then all of it is released.')
  })

  it('says no word of a hold-back that is over', () => {
    expect(wordsOf({ machine: { registration: { ...registration, probation: { ...registration.probation, active: false } } } })).to.not.contain('newcomer')
  })

  it('gives each reason why jobs went elsewhere, and says where nobody asked', () => {
    const passedBy = { sinceMs: AT, asked: 812, got: 31, reasons: [{ reason: 'others_were_freer' as const, count: 700 }, { reason: 'busy' as const, count: 1 }] }
    expect(wordsOf({ machine: { passedBy } })).to.contain('Since 2026-03-01 12:00 UTC hub alpha placed 812 requests for its models, and 31 came to gpu-box. It was passed by: 700 times another machine was freer or faster, once all its slots were taken.')
    expect(wordsOf({ machine: { passedBy: { ...passedBy, asked: 0, got: 0, reasons: [] } } })).to.contain('nobody has asked hub alpha for a model that gpu-box offers')
  })

  it('says why nothing can come: no hub, no model, no registration, unregistered', () => {
    const away = { hubs: local.hubs.map((hub) => ({ ...hub, connected: false, registered: false })) }
    expect(wordsOf({ local: away })).to.contain('It reaches no hub, so no job can come')
    expect(wordsOf({ local: { models: [] } })).to.contain('It offers no model, so no job can come: get one with "triforce models pull NAME"')
    const refused = { hubs: local.hubs.map((hub) => ({ ...hub, registered: false, problem: 'no account has agreed' })) }
    expect(wordsOf({ local: refused })).to.contain('It is not registered and earns nothing: no account has agreed.')
    expect(wordsOf({ local: { left: true } })).to.contain('It was unregistered and lends no more')
    expect(wordsOf({ local: {}, problem: 'no hub answers' })).to.contain('What the hubs know of it cannot be told now: no hub answers.')
    expect(wordsOf({ machines: [] })).to.contain('No machine is registered for this account')
    expect(wordsOf({ local: { refused: [{ code: 'QUEUE_FULL', count: 2 }, { code: 'TICKET_USED', count: 1 }] } })).to.contain('It refused jobs itself: QUEUE_FULL 2 times, TICKET_USED once.')
  })

  it('says what a check has shown, and what is missing with the way out', () => {
    const words = wordsOf({ machine: { registration: {
      ...registration, check: { state: 'suspected', text: 'slower than its class' },
      missing: [{ what: 'upload', level: 'minimum', have: '8 Mbit/s', need: '100 Mbit/s upload', fix: 'lower --slots' }, { what: 'models', level: 'minimum', have: 'not offered', need: 'big', fix: 'triforce models pull big' }],
    } } })
    expect(words).to.contain('Check of gpu-box: suspected; slower than its class.')
    expect(words).to.contain('Below the minimum: 8 Mbit/s, 100 Mbit/s upload wanted; lower --slots.')
    expect(words).to.contain('gpu-box was registered with the model big, and does not offer it: triforce models pull big.')
  })
})
