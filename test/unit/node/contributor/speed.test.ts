import { expect } from 'chai'
import { createMinuteBudget } from '../../../../node/contributor/minute-budget.ts'
import { measureUpload } from '../../../../node/contributor/speed.ts'
import type { Requests } from '../../../../node/net/requests.ts'
import { encode } from '../../../../protocol/codec.ts'
import { codeOf } from '../../../support/code-of.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

/** A line with a delay and a rate, on a clock that only it moves. */
function line(options: { readonly mbits: number; readonly rttMs: number; readonly refuseAfter?: number }) {
  const clock = fakeClock()
  const frames: number[] = []
  const requests: Requests = {
    ask(_peer, question) {
      clock.advance(options.rttMs)
      if (question.t !== 'speed') return Promise.resolve({ t: 'pong' })
      if (frames.length >= (options.refuseAfter ?? Infinity)) return Promise.resolve({ t: 'error', code: 'RATE_LIMITED', detail: '', retryAfterMs: 1_000 })
      frames.push(question.data.byteLength)
      clock.advance(question.data.byteLength * 8 / 1_000 / options.mbits)
      return Promise.resolve({ t: 'ok', body: encode({ receivedBytes: question.data.byteLength }) })
    },
  }
  return { frames, measure: () => measureUpload({ requests, clock, random: { bytes: (length) => new Uint8Array(length), unit: () => 0 } }, 'hub') }
}

describe('node/contributor/speed', () => {
  it('measures a line whatever its delay', async () => {
    for (const [mbits, rttMs] of [[5, 20], [94, 35], [500, 8], [900, 180]] as const) {
      const result = await line({ mbits, rttMs }).measure()
      expect(result.uploadMbits, `${mbits} Mbit/s`).to.be.closeTo(mbits, mbits * 0.02)
      expect(result.rttMs).to.equal(rttMs)
    }
  })

  it('sends little over a slow line and never more than a hub takes', async () => {
    const slow = line({ mbits: 1, rttMs: 50 })
    await slow.measure()
    expect(slow.frames).to.deep.equal([256 * 1024])
    const fast = line({ mbits: 10_000, rttMs: 0 })
    await fast.measure()
    expect(fast.frames.reduce((sum, bytes) => sum + bytes, 0)).to.be.below(16 * 1024 * 1024 / 2)
  })

  it('gives on what the hub refuses', async () => {
    expect(await codeOf(line({ mbits: 100, rttMs: 5, refuseAfter: 1 }).measure())).to.equal('RATE_LIMITED')
  })
})

describe('node/contributor/minute-budget', () => {
  const setUp = (peersMax?: number) => {
    const clock = fakeClock()
    const budget = createMinuteBudget({ clock }, { perPeer: 10, all: 25, what: 'tests', ...(peersMax === undefined ? {} : { peersMax }) })
    return { clock, take: (peer: string, amount: number) => codeOf(Promise.resolve().then(() => budget.take(peer, amount))) }
  }

  it('bounds each peer, and all of them together', async () => {
    const { take } = setUp()
    expect([await take('a', 10), await take('a', 1), await take('b', 10), await take('c', 6), await take('c', 5)])
      .to.deep.equal(['none', 'RATE_LIMITED', 'none', 'RATE_LIMITED', 'none'])
  })

  it('begins anew after a minute and not one millisecond earlier', async () => {
    const { clock, take } = setUp()
    await take('a', 10)
    clock.advance(59_999)
    expect(await take('a', 1)).to.equal('RATE_LIMITED')
    clock.advance(1)
    expect(await take('a', 10)).to.equal('none')
  })

  it('counts no more peers apart than it may', async () => {
    const { take } = setUp(2)
    expect([await take('a', 1), await take('b', 1), await take('c', 1), await take('b', 1)]).to.deep.equal(['none', 'none', 'RATE_LIMITED', 'none'])
  })
})
