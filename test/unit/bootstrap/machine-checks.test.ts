import { expect } from 'chai'
import { describeMachine, type MachineFindings } from '../../../bootstrap/machine-checks.ts'
import type { Machine } from '../../../providers/hardware.ts'

const GIB = 1024 ** 3

function aMachine(part: Partial<Machine> = {}): Machine {
  return {
    gpus: [{ name: 'NVIDIA GeForce RTX 4090', vramBytes: 24 * GIB - 1_000_000, vramFreeBytes: 23 * GIB }], driver: '550.90.07', cuda: '12.4', problems: [],
    cpu: 'AMD Ryzen 9', cores: 16, ramBytes: 64 * GIB, diskFreeBytes: 500 * GIB, platform: 'linux x64', ...part,
  }
}

function linesOf(part: Partial<MachineFindings> = {}): string[] {
  const findings: MachineFindings = { machine: aMachine(), devices: { backend: 'cuda', names: ['NVIDIA GeForce RTX 4090'], vramBytes: 24 * GIB, vramFreeBytes: 23 * GIB }, passedOver: [], link: undefined, engines: ['Ollama'], isLocal: false, ...part }
  return describeMachine(findings).map(({ name, result, text }) => `${result} ${name}: ${text}`)
}

const reached = (...names: string[]) => ['alpha', 'beta', 'gamma'].map((name) => ({ name, reached: names.includes(name) }))

describe('bootstrap/machine-checks', () => {
  it('names card, driver, CUDA, class and rate of a machine that has all', () => {
    const link = { hubs: reached('alpha', 'beta', 'gamma'), line: { hub: 'alpha', uploadMbits: 612, rttMs: 9 } }
    expect(linesOf({ link })).to.deep.equal([
      'ok graphics: NVIDIA GeForce RTX 4090, 24.0 GB (23.0 free); driver 550.90.07; CUDA 12.4',
      'ok processor: AMD Ryzen 9, 16 cores, 64.0 GB memory',
      'ok engine on: cuda: NVIDIA GeForce RTX 4090',
      'ok hubs: alpha, beta, gamma reached; jobs come over these connections, no port needs to be open',
      'ok upload: 612 Mbit/s to alpha, 9 ms there and back',
      'ok earns: class rtx-4090: 40 credits an hour while it answers, 12 while it stands by',
      'ok for lending: all that is recommended',
    ])
  })

  it('gives the plan\'s rate for each class of its table, and for cards beside it', () => {
    const rateOf = (name: string, gib: number) => linesOf({ machine: aMachine({ gpus: [{ name, vramBytes: gib * GIB, vramFreeBytes: 0 }] }) }).find((line) => line.startsWith('ok earns'))!.slice('ok earns: class '.length).split(' credit')[0]
    expect([
      rateOf('NVIDIA GeForce RTX 3060', 12), rateOf('NVIDIA GeForce RTX 3080', 10), rateOf('NVIDIA GeForce RTX 4080', 16), rateOf('NVIDIA A100-PCIE-40GB', 40), rateOf('NVIDIA A100-SXM4-80GB', 80),
      rateOf('Apple M2 Ultra', 48), rateOf('Apple M3 Max', 27), rateOf('AMD Radeon RX 7900 XTX', 24), rateOf('NVIDIA GeForce GTX 1080', 8),
    ]).to.deep.equal(['rtx-3060: 10', 'rtx-3080: 15', 'rtx-4080: 25', 'a100-40: 100', 'a100-80: 150', 'mac-m2-ultra: 30', 'mac-m3-max: 35', 'rtx-4090: 40', 'rtx-3060: 10'])
    expect(linesOf({ machine: aMachine({ gpus: [] }) }).join()).to.contain('class cpu: 1 credit an hour while it answers, 0.3 while it stands by')
  })

  it('says what to do where the engine does not use the card', () => {
    const devices = { backend: 'cpu', names: [], vramBytes: 0, vramFreeBytes: 0 }
    const onCpu = (machine: Machine) => linesOf({ devices, machine }).find((line) => line.includes('engine on'))
    expect(onCpu(aMachine())).to.equal('warn engine on: the processor, although there is a NVIDIA GeForce RTX 4090; install a build for it: triforce engine install --gpu vulkan, which needs the driver only, or --gpu cuda where CUDA 12 or 13 is installed')
    expect(onCpu(aMachine({ gpus: [{ name: 'AMD Radeon RX 7900 XTX', vramBytes: 24 * GIB, vramFreeBytes: 0 }] }))).to.contain('--gpu vulkan')
    expect(onCpu(aMachine({ platform: 'linux arm64' }))).to.contain('lend its models with Ollama')
    expect(onCpu(aMachine({ gpus: [] }))).to.equal('ok engine on: the processor')
    const passedOver = [{ gpu: 'cuda', problem: 'CUDA error: the provided PTX was compiled with an unsupported toolchain.' }] as const
    const left = 'the cuda build does not compute on this machine and is left aside: CUDA error: the provided PTX was compiled with an unsupported toolchain.; it needs CUDA 12 or 13'
    expect(linesOf({ devices, passedOver }).join()).to.contain(`warn engine on: the processor, although there is a NVIDIA GeForce RTX 4090; ${left}`)
    expect(linesOf({ devices: { ...devices, backend: 'vulkan', names: ['NVIDIA A100'] }, passedOver }).join()).to.contain(`ok engine on: vulkan: NVIDIA A100; ${left}`)
  })

  it('says for each shortfall what to do, the minimum first and as a warning', () => {
    const problems = ['GA104 is built in, but its driver does not answer; install it']
    const link = { hubs: reached('beta'), line: { hub: 'beta', uploadMbits: 8.44, rttMs: 30 } }
    const lines = linesOf({ machine: aMachine({ gpus: [], driver: undefined, cuda: undefined, problems, ramBytes: 20 * GIB, platform: 'darwin arm64' }), link, engines: [], devices: undefined })
    expect(lines).to.include('warn graphics: no GPU that can hold a model; GA104 is built in, but its driver does not answer; install it')
    expect(lines).to.include('warn hubs: 2 of 3 not reached (alpha, gamma); is the network up, and is outgoing TCP to their port allowed?')
    expect(lines).to.include('ok upload: 8.4 Mbit/s to beta, 30 ms there and back')
    expect(lines.slice(-5).map((line) => line.split(',')[0])).to.deep.equal([
      'warn below minimum: no GPU', 'warn below minimum: 8.4 Mbit/s', 'warn below minimum: no engine', 'ok recommended: 20.0 GB', 'ok recommended: darwin arm64',
    ])
  })

  it('fails where no hub is reached, except in a federation of this machine, which need not run', () => {
    const link = { hubs: reached(), line: undefined }
    expect(linesOf({ link }).find((line) => line.includes(' hubs:'))).to.match(/^fail hubs: 3 of 3 not reached/)
    expect(linesOf({ link, isLocal: true }).find((line) => line.includes(' hubs:'))).to.match(/^ok hubs: the federation of this machine does not run/)
  })
})
