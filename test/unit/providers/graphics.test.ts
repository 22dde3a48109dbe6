import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { readAmdCards } from '../../../providers/amd-cards.ts'
import { graphicsFrom, type GraphicsController, type GraphicsReports } from '../../../providers/graphics.ts'
import { parseCudaVersion, parseNvidiaTable } from '../../../providers/nvidia-smi.ts'

const GIB = 1024 ** 3
const MIB = 1024 ** 2

const recording = (file: string): string => readFileSync(new URL(`recordings/${file}`, import.meta.url), 'utf8')
const machines = JSON.parse(recording('controllers.json')) as Readonly<Record<string, readonly GraphicsController[]>>

const nvidiaOf = (query: string, banner = ''): GraphicsReports['nvidia'] => ({ ...parseNvidiaTable(query), cuda: parseCudaVersion(banner) })
const none = nvidiaOf('')

function read(machine: string, part: Partial<GraphicsReports> = {}) {
  return graphicsFrom({ controllers: machines[machine] ?? [], nvidia: none, amd: [], ramBytes: 64 * GIB, ...part })
}

describe('providers/graphics', () => {
  it('NVIDIA: one card with its free memory, driver and CUDA, without the processor graphics beside it', () => {
    const nvidia = nvidiaOf(recording('nvidia-smi-query-rtx-4090.txt'), recording('nvidia-smi-rtx-4090.txt'))
    expect(nvidia).to.deep.include({ driver: '550.90.07', cuda: '12.4' })
    const card = { name: 'NVIDIA GeForce RTX 4090', vramBytes: 24_564 * MIB, vramFreeBytes: 23_282 * MIB }
    expect(read('rtx-4090-desktop', { nvidia })).to.deep.equal({ gpus: [card], problems: [] })
    expect(read('rtx-4090-windows', { nvidia })).to.deep.equal({ gpus: [card], problems: [] })
  })

  it('NVIDIA: two cards in a container that has no lspci', () => {
    const nvidia = nvidiaOf(recording('nvidia-smi-query-2x-a100.txt'), recording('nvidia-smi-2x-a100.txt'))
    expect(nvidia.cuda).to.equal('12.2')
    expect(graphicsFrom({ controllers: [], nvidia, amd: [], ramBytes: GIB }).gpus).to.deep.equal([
      { name: 'NVIDIA A100-SXM4-80GB', vramBytes: 80 * GIB, vramFreeBytes: 81_037 * MIB },
      { name: 'NVIDIA A100-SXM4-80GB', vramBytes: 80 * GIB, vramFreeBytes: 12 * MIB },
    ])
  })

  it('NVIDIA on Windows where only systeminformation found nvidia-smi', () => {
    expect(read('rtx-4090-windows').gpus).to.deep.equal([{ name: 'NVIDIA GeForce RTX 4090', vramBytes: 24_564 * MIB, vramFreeBytes: 22_000 * MIB }])
  })

  it('NVIDIA without a driver, or with one that does not tell the memory: no GPU, and the way out', () => {
    const nouveau = read('nouveau', { nvidia: nvidiaOf(recording('nvidia-smi-failed.txt'), recording('nvidia-smi-failed.txt')) })
    expect(nouveau.gpus).to.deep.equal([])
    expect(nouveau.problems).to.deep.equal(['GA104 [GeForce RTX 3070] is built in, but its driver does not answer; install NVIDIA\'s driver until "nvidia-smi" shows the card'])
    const gb10 = read('gb10', { nvidia: nvidiaOf(recording('nvidia-smi-query-gb10.txt')) })
    expect(gb10.gpus).to.deep.equal([])
    expect(gb10.problems[0]).to.contain('driver 580.95.05 does not tell how much memory it has')
  })

  it('AMD on Windows, without the graphics of the processor', () => {
    expect(read('rx-7900-xtx-windows')).to.deep.equal({
      gpus: [{ name: 'AMD Radeon RX 7900 XTX', vramBytes: 24_560 * MIB, vramFreeBytes: 24_560 * MIB }], problems: [],
    })
  })

  it('Apple: three quarters of the common memory', () => {
    expect(read('mac-m2-ultra').gpus).to.deep.equal([{ name: 'Apple M2 Ultra', vramBytes: 48 * GIB, vramFreeBytes: 48 * GIB }])
    expect(read('mac-m3-max', { ramBytes: 36 * GIB }).gpus).to.deep.equal([{ name: 'Apple M3 Max', vramBytes: 27 * GIB, vramFreeBytes: 27 * GIB }])
  })

  it('processors only: display adapters and borrowed memory are no GPUs', () => {
    for (const machine of ['virtual-machine', 'office-laptop', 'server-board', 'nothing']) expect(read(machine), machine).to.deep.equal({ gpus: [], problems: [] })
    const nonsense = [{ model: 'X', vram: Number.NaN }, {}, { name: 'X', memoryTotal: -1 }]
    expect(graphicsFrom({ controllers: nonsense, nvidia: none, amd: [], ramBytes: GIB }).gpus).to.deep.equal([])
  })

  it('keeps the largest first and no more than an announcement holds', () => {
    const controllers = Array.from({ length: 20 }, (_, index) => ({ vendor: 'Some', name: `card ${index}`, memoryTotal: 2_048 + index }))
    const { gpus } = graphicsFrom({ controllers, nvidia: none, amd: [], ramBytes: GIB })
    expect(gpus.map(({ name }) => name)).to.deep.equal(Array.from({ length: 16 }, (_, index) => `card ${19 - index}`))
  })

  describe('AMD on Linux', () => {
    let root: string
    async function card(name: string, pci: string, files: Readonly<Record<string, string>>): Promise<void> {
      const device = join(root, 'pci', `0000:${pci}`)
      await mkdir(device, { recursive: true })
      for (const [file, text] of Object.entries(files)) await writeFile(join(device, file), `${text}\n`)
      await mkdir(join(root, 'drm', name), { recursive: true })
      await symlink(`../../pci/0000:${pci}`, join(root, 'drm', name, 'device'))
    }
    beforeEach(async () => { root = await mkdtemp(join(tmpdir(), 'triforce-drm-')) })
    afterEach(async () => { await rm(root, { recursive: true, force: true }) })

    it('takes the memory from the driver, not the 256 MB window that lspci shows', async () => {
      await card('card0', '03:00.0', { vendor: '0x1002', mem_info_vram_total: '25753026560', mem_info_vram_used: '1234567168' })
      await card('card1', '16:00.0', { vendor: '0x1002', mem_info_vram_total: '536870912', mem_info_vram_used: '16384' })
      await mkdir(join(root, 'drm', 'card0-DP-1'))
      const amd = await readAmdCards(join(root, 'drm'))
      expect(read('rx-7900-xtx-linux', { amd })).to.deep.equal({
        gpus: [{ name: 'Navi 31 [Radeon RX 7900 XT/7900 XTX]', vramBytes: 25_753_026_560, vramFreeBytes: 25_753_026_560 - 1_234_567_168 }], problems: [],
      })
      // Without lspci the driver's word is enough.
      expect(graphicsFrom({ controllers: [], nvidia: none, amd, ramBytes: GIB }).gpus[0]).to.deep.include({ name: 'AMD GPU', vramBytes: 25_753_026_560 })
    })

    it('says what to do where amdgpu is not loaded', async () => {
      await card('card0', '03:00.0', { vendor: '0x1002' })
      const { gpus, problems } = read('rx-7900-xtx-linux', { amd: await readAmdCards(join(root, 'drm')) })
      expect(gpus).to.deep.equal([])
      expect(problems[0]).to.contain('load the amdgpu driver')
    })

    it('is empty where there is no such folder, and does not believe nonsense', async () => {
      expect(await readAmdCards(join(root, 'none'))).to.deep.equal([])
      await card('card0', '03:00.0', { vendor: '0x1002', mem_info_vram_total: 'lots' })
      await card('card1', '04:00.0', { vendor: '0x10de', mem_info_vram_total: '123456789' })
      expect(await readAmdCards(join(root, 'drm'))).to.deep.equal([])
    })
  })

  it('reads no version and no card from something else', () => {
    expect(parseCudaVersion('')).to.equal(undefined)
    expect(parseCudaVersion('CUDA Version: N/A')).to.equal(undefined)
    expect(parseCudaVersion('CUDA UMD Version     : 13.0')).to.equal('13.0')
    expect(parseNvidiaTable('command not found')).to.deep.equal({ gpus: [], driver: undefined })
  })
})
