import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { probeEngine } from '../../../../providers/embedded/device-list.ts'
import { chooseEngine, passedOverText } from '../../../../providers/embedded/engine-choice.ts'
import { ENGINE_VERSION, findEngine, findEngineFor, type EngineGpu } from '../../../../providers/embedded/engine-install.ts'

const GIB = 1024 ** 3
const CUDA_TEXT = 'CUDA error: the provided PTX was compiled with an unsupported toolchain.'

/** A package of node-llama-cpp's form; no machine of these tests has a GPU. `evaluate` is the body of the generator that computes. */
function packageText({ gpu, evaluate }: { readonly gpu: string; readonly evaluate: string }): string {
  return `
export const LlamaLogLevel = { error: 'error' }
export async function getLlama() {
  return {
    gpu: ${gpu}, getGpuDeviceNames: async () => ${gpu} === false ? [] : ['NVIDIA H100'], getVramState: async () => ({ total: ${80 * GIB}, free: ${79 * GIB} }),
    loadModel: async () => ({
      tokenize: () => [1], createContext: async () => ({ getSequence: () => ({ async * evaluate() { ${evaluate} } }) }),
    }),
  }
}
`
}
const dying = `process.stderr.write(${JSON.stringify(`${CUDA_TEXT}\n  current device: 0, in function launch at ggml-cuda.cu:103\nggml-cuda.cu:103: CUDA error\n`)}); process.abort()`

describe('providers/embedded/engine-choice', () => {
  let enginesDir: string

  async function install(gpu: EngineGpu | undefined, module: { readonly gpu: string; readonly evaluate: string }): Promise<void> {
    const folder = join(enginesDir, `node-llama-cpp-${ENGINE_VERSION}${gpu === undefined ? '' : `-${gpu}`}`, 'node_modules', 'node-llama-cpp')
    await mkdir(join(folder, 'dist'), { recursive: true })
    await writeFile(join(folder, 'package.json'), JSON.stringify({ version: ENGINE_VERSION, type: 'module' }))
    await writeFile(join(folder, 'dist', 'index.js'), packageText(module))
  }

  beforeEach(async () => { enginesDir = await mkdtemp(join(tmpdir(), 'triforce-choice-')) })
  afterEach(async () => { await rm(enginesDir, { recursive: true, force: true }) })

  it('has the real engine compute a token', async () => {
    const engine = await findEngine({ enginesDir })
    expect(await probeEngine(engine!)).to.deep.include({ computes: true }).and.to.have.nested.property('devices.backend')
  }).timeout(60_000)

  it('takes a build for a GPU that computes', async () => {
    await install('cuda', { gpu: '"cuda"', evaluate: 'yield 1' })
    const tried: string[] = []
    const { engine, devices, passedOver } = await chooseEngine({ enginesDir, onTry: (gpu) => tried.push(gpu) })
    expect(engine).to.deep.equal(await findEngineFor('cuda', { enginesDir }))
    expect(devices).to.deep.equal({ backend: 'cuda', names: ['NVIDIA H100'], vramBytes: 80 * GIB, vramFreeBytes: 79 * GIB })
    expect([tried, passedOver]).to.deep.equal([['cuda'], []])
  }).timeout(60_000)

  it('leaves one aside that finds the card and dies at the first token, and says why', async () => {
    await install('cuda', { gpu: '"cuda"', evaluate: dying })
    await install('vulkan', { gpu: '"vulkan"', evaluate: 'yield 1' })
    const { engine, passedOver } = await chooseEngine({ enginesDir })
    expect(engine).to.deep.include({ gpu: 'vulkan' })
    expect(passedOver).to.deep.equal([{ gpu: 'cuda', problem: CUDA_TEXT }])
    expect(passedOverText(passedOver[0]!)).to.match(/^the cuda build does not compute on this machine and is left aside: CUDA error: .*engine install --gpu vulkan" needs the driver only$/)
  }).timeout(60_000)

  it('goes to the processor where no build for a GPU computes', async () => {
    await install('cuda', { gpu: '"cuda"', evaluate: dying })
    await install('vulkan', { gpu: 'false', evaluate: 'yield 1' })
    const beside = await chooseEngine({ enginesDir })
    expect(beside.engine).to.deep.equal(await findEngine({ enginesDir }, { gpuBuilds: false }))
    expect(beside.passedOver.map(({ gpu, problem }) => `${gpu}: ${problem}`)).to.deep.equal([`cuda: ${CUDA_TEXT}`, 'vulkan: it finds no GPU that it can use'])
    const alone = await chooseEngine({ enginesDir, dataOnly: true })
    expect(alone.engine).to.deep.include({ processorOnly: true }).and.to.not.have.property('gpu')
  }).timeout(60_000)

  it('does not wait for ever for one that hangs', async () => {
    await install('vulkan', { gpu: '"vulkan"', evaluate: 'await new Promise((resolve) => setTimeout(resolve, 1e6)); yield 1' })
    const engine = await findEngineFor('vulkan', { enginesDir })
    expect(await probeEngine(engine!, { waitMsMax: 3_000 })).to.deep.include({ computes: false, problem: 'it gave no answer in 3 s' })
  }).timeout(60_000)
})
