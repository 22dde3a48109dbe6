import { tmpdir } from 'node:os'
import { expect } from 'chai'
import { createHardwareProbe, gpusFrom } from '../../../providers/hardware.ts'
import { fakeClock } from '../../support/fake-clock.ts'

const GIB = 1024 ** 3

describe('providers/hardware', () => {
  it('reads GPUs with their memory, the largest first', () => {
    expect(gpusFrom([
      { vendor: 'NVIDIA Corporation', model: 'AD104', name: 'NVIDIA GeForce RTX 4070', vram: 12_282, memoryTotal: 12_282, memoryFree: 11_000 },
      { vendor: 'NVIDIA Corporation', name: 'NVIDIA GeForce RTX 4090', memoryTotal: 24_564 },
    ], 64 * GIB)).to.deep.equal([
      { name: 'NVIDIA GeForce RTX 4090', vramBytes: 24_564 * 1024 ** 2, vramFreeBytes: 24_564 * 1024 ** 2 },
      { name: 'NVIDIA GeForce RTX 4070', vramBytes: 12_282 * 1024 ** 2, vramFreeBytes: 11_000 * 1024 ** 2 },
    ])
  })

  it('takes three quarters of the memory for the GPU of an Apple chip', () => {
    expect(gpusFrom([{ vendor: 'Apple', model: 'Apple M3 Max', vram: null }], 64 * GIB)).to.deep.equal([{ name: 'Apple M3 Max', vramBytes: 48 * GIB, vramFreeBytes: 48 * GIB }])
  })

  it('does not take display adapters and nonsense for GPUs', () => {
    expect(gpusFrom([{ model: 'Virtio 1.0 GPU', vram: 256 }, { model: 'ASPEED', vram: Number.NaN }, {}, { name: 'X', memoryTotal: -1 }], GIB)).to.deep.equal([])
  })

  it('tells of this machine and asks again only after the time limit', async () => {
    const clock = fakeClock()
    const probe = createHardwareProbe({ clock }, { dataDir: tmpdir() })
    const hardware = await probe.read()
    expect(hardware.gpus).to.be.an('array')
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
