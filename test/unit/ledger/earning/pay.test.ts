import { expect } from 'chai'
import * as fc from 'fast-check'
import { addFact, createDevice, payOf, type Fact } from '../../../../ledger/earning/pay.ts'
import type { DeviceState } from '../../../../ledger/fold/state.ts'
import { MS_PER_HOUR } from '../../../../ledger/rules.ts'

const fact: fc.Arbitrary<Fact> = fc.record({
  rate: fc.constantFrom(3n, 10n, 20n, 41n).map((credits) => credits * 1_000_000n), boot: fc.constantFrom('a', 'b'),
  deviceFromMs: fc.nat(50), deviceMs: fc.nat(30), wallFromMs: fc.nat(80), wallMs: fc.nat(30),
}).map(({ rate, boot, deviceFromMs, deviceMs, wallFromMs, wallMs }) => ({
  rate, boot, deviceFromMs, deviceToMs: deviceFromMs + deviceMs, wallFromMs, wallToMs: wallFromMs + wallMs,
}))
const facts = fc.array(fact, { maxLength: 25 })

function deviceOf(all: readonly Fact[]): DeviceState {
  const device = createDevice('aa', 'gpu0')
  for (const one of all) addFact(device, one)
  return device
}

/** The definition, moment by moment: Σ (l_k − l_(k−1)) · min(device time, wall time at l_k or above). */
function payByDefinition(all: readonly Fact[]): bigint {
  const covered = (from: (one: Fact) => number, to: (one: Fact) => number, of: (one: Fact) => string, rate: bigint) => {
    const moments = new Set<string>()
    for (const one of all) if (one.rate >= rate) for (let at = from(one); at < to(one); at += 1) moments.add(`${of(one)}/${at}`)
    return moments.size
  }
  let sum = 0n
  let below = 0n
  for (const rate of [...new Set(all.map((one) => one.rate))].sort((a, b) => a < b ? -1 : 1)) {
    const device = covered((one) => one.deviceFromMs, (one) => one.deviceToMs, (one) => one.boot, rate)
    const wall = covered((one) => one.wallFromMs, (one) => one.wallToMs, () => '', rate)
    sum += (rate - below) * BigInt(Math.min(device, wall))
    below = rate
  }
  return sum / BigInt(MS_PER_HOUR)
}

const hour = (rate: bigint, deviceFromMs: number, wallFromMs: number, boot = 'a'): Fact =>
  ({ rate, boot, deviceFromMs, deviceToMs: deviceFromMs + MS_PER_HOUR, wallFromMs, wallToMs: wallFromMs + MS_PER_HOUR })

describe('ledger/earning/pay', () => {
  it('is the sum over rates of the time that is proven at each or above', () => {
    fc.assert(fc.property(facts, (all) => { expect(payOf(deviceOf(all))).to.equal(payByDefinition(all)) }), { numRuns: 300 })
  })

  it('depends on the set of facts alone, not on their order or how often each came', () => {
    fc.assert(fc.property(facts, fc.infiniteStream(fc.nat()), (all, order) => {
      const shuffled = [...all, ...all.slice(0, 5)].map((one) => ({ one, key: order.next().value as number })).sort((a, b) => a.key - b.key).map(({ one }) => one)
      const device = deviceOf(shuffled)
      expect(payOf(device)).to.equal(payOf(deviceOf(all)))
      for (const [rate, level] of deviceOf(all).levels) {
        expect(device.levels.get(rate)!.wall).to.deep.equal(level.wall)
        expect(Object.fromEntries(device.levels.get(rate)!.boots)).to.deep.equal(Object.fromEntries(level.boots))
      }
    }))
  })

  it('only grows, so that the pay of each step is 0 or more and all steps together are the floor of the total', () => {
    fc.assert(fc.property(facts, (all) => {
      const device = createDevice('aa', 'gpu0')
      let vested = 0n
      for (const one of all) {
        addFact(device, one)
        const delta = payOf(device) - vested
        expect(delta >= 0n).to.equal(true)
        vested += delta
      }
      expect(vested).to.equal(payByDefinition(all))
    }))
  })

  it('pays the highest rate at each moment: busy within standby is not paid on top', () => {
    const standby = 12_000_000n
    const busy = 40_000_000n
    const device = deviceOf([hour(standby, 0, 0), { ...hour(busy, 0, 0), deviceToMs: MS_PER_HOUR / 2, wallToMs: MS_PER_HOUR / 2 }])
    expect(payOf(device)).to.equal(26_000_000n)
  })

  it('pays the shorter of the two clocks', () => {
    const slow = { ...hour(40_000_000n, 0, 0), wallToMs: MS_PER_HOUR / 4 }
    expect(payOf(deviceOf([slow]))).to.equal(10_000_000n)
    expect(payOf(deviceOf([hour(40_000_000n, 0, 0, 'a'), hour(40_000_000n, 0, 0, 'b')])), 'two boots at once').to.equal(40_000_000n)
    expect(payOf(deviceOf([hour(40_000_000n, 0, 0), hour(40_000_000n, 0, MS_PER_HOUR)])), 'one device hour at two wall hours').to.equal(40_000_000n)
  })

  it('never pays more than 24 hours a day, whatever is claimed', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(23), fc.constantFrom('a', 'b', 'c')), { maxLength: 60 }), (hours) => {
      const device = deviceOf(hours.map(([at, boot], index) => hour(1_000_000n, index * MS_PER_HOUR, at * MS_PER_HOUR, boot)))
      expect(payOf(device) <= 24_000_000n).to.equal(true)
    }))
  })
})
