import { tmpdir } from 'node:os'
import { expect } from 'chai'
import { createHardwareProbe } from '../../../providers/hardware.ts'
import { fakeClock } from '../../support/fake-clock.ts'

describe('providers/hardware', () => {
  it('tells of this machine and asks again only after the time limit', async () => {
    const clock = fakeClock()
    const probe = createHardwareProbe({ clock }, { dataDir: tmpdir() })
    const hardware = await probe.read()
    expect(hardware.gpus).to.be.an('array')
    expect(hardware.problems).to.be.an('array')
    expect(hardware.cores).to.be.greaterThan(0)
    expect(hardware.ramBytes).to.be.greaterThan(256 * 1024 ** 2)
    expect(hardware.diskFreeBytes).to.be.greaterThan(0)
    expect(hardware.platform).to.equal(`${process.platform} ${process.arch}`)
    clock.advance(30_000)
    expect(await probe.read()).to.equal(hardware)
    clock.advance(1)
    expect(await probe.read()).to.not.equal(hardware)
  })
})
