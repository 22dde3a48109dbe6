import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { ENGINE_VERSION, engineGpuFor, enginePackages, enginePlatformPackage, findEngine, installEngine, npmFailure } from '../../../../providers/embedded/engine-install.ts'

// Stands for npm: makes the package in the folder after --prefix.
const npmThatWorks = `
  import { mkdirSync, writeFileSync } from 'node:fs'
  const args = process.argv.slice(2)
  const folder = args[args.indexOf('--prefix') + 1] + '/node_modules/node-llama-cpp'
  mkdirSync(folder + '/dist', { recursive: true })
  writeFileSync(folder + '/package.json', JSON.stringify({ version: '${ENGINE_VERSION}', args }))
  writeFileSync(folder + '/dist/index.js', '')
  console.error('npm http fetch GET 200 https://registry/node-llama-cpp')
`

describe('providers/embedded/engine-install', () => {
  let enginesDir: string
  const npm = async (script: string): Promise<readonly string[]> => {
    const path = join(enginesDir, 'npm.mjs')
    await writeFile(path, script)
    return [process.execPath, path]
  }
  const failure = async (script: string, options: { signal?: AbortSignal; installMsMax?: number } = {}): Promise<string> => {
    const install = installEngine({ enginesDir, dataOnly: true, npm: await npm(script), ...options })
    return await install.then(() => 'installed', (error: unknown) => {
      expect(error).to.include({ code: 'ENGINE_MISSING' })
      return (error as Error).message
    })
  }

  beforeEach(async () => { enginesDir = await mkdtemp(join(tmpdir(), 'triforce-engine-')) })
  afterEach(async () => { await rm(enginesDir, { recursive: true, force: true }) })

  it('finds the engine of this repository', async () => {
    expect(await findEngine({ enginesDir })).to.include({ version: ENGINE_VERSION })
    expect(await findEngine({ enginesDir, dataOnly: true })).to.equal(undefined)
  })

  it('installs it once, into place, and says how far it is', async () => {
    const lines: string[] = []
    const options = { enginesDir, dataOnly: true, npm: await npm(npmThatWorks), onProgress: (text: string) => { lines.push(text) } }
    const location = await installEngine(options)
    expect(location.entry).to.include(`node-llama-cpp-${ENGINE_VERSION}/node_modules/node-llama-cpp/dist/index.js`)
    expect(lines.join()).to.equal('installing node-llama-cpp 3.21.1 (about 75 MB),1 packages looked up or fetched,installed')
    expect(await findEngine({ enginesDir, dataOnly: true })).to.deep.equal(location)
    expect(await installEngine({ ...options, npm: ['/no/such/program'] })).to.deep.equal(location)
  })

  it('installs the build for a GPU beside the other, with the libraries it needs, and prefers it', async () => {
    const lines: string[] = []
    const options = { enginesDir, dataOnly: true, npm: await npm(npmThatWorks), onProgress: (text: string) => { lines.push(text) } }
    const plain = await installEngine(options)
    const cuda = await installEngine({ ...options, gpu: 'cuda' })
    expect(cuda).to.deep.include({ gpu: 'cuda', version: ENGINE_VERSION })
    expect(cuda.entry).to.include(`node-llama-cpp-${ENGINE_VERSION}-cuda/node_modules`)
    const { args } = JSON.parse(await readFile(fileURLToPath(new URL('../package.json', cuda.entry)), 'utf8')) as { args: string[] }
    expect(args.filter((arg) => arg.startsWith('@node-llama-cpp'))).to.deep.equal(['linux-x64', 'linux-x64-cuda', 'linux-x64-cuda-ext'].map((name) => `@node-llama-cpp/${name}@${ENGINE_VERSION}`))
    expect(lines.at(-3)).to.equal(`installing node-llama-cpp ${ENGINE_VERSION} with cuda (about 400 MB)`)
    expect(await findEngine({ enginesDir, dataOnly: true })).to.deep.equal(cuda)
    // Also before the one that stands beside TriForce: somebody asked for it.
    expect(await findEngine({ enginesDir })).to.deep.equal(cuda)
    expect(await installEngine(options)).to.deep.equal(cuda)
    expect(plain).to.not.have.property('gpu')
  })

  it('knows which build suits which machine', () => {
    expect(enginePackages('linux', 'x64', 'vulkan')).to.deep.equal(['@node-llama-cpp/linux-x64', '@node-llama-cpp/linux-x64-vulkan'])
    expect(enginePackages('win32', 'x64', 'cuda')).to.deep.equal(['@node-llama-cpp/win-x64', '@node-llama-cpp/win-x64-cuda', '@node-llama-cpp/win-x64-cuda-ext'])
    for (const [platform, arch] of [['darwin', 'arm64'], ['linux', 'arm64'], ['freebsd', 'x64']] as const) expect(enginePackages(platform, arch, 'cuda'), platform).to.equal(undefined)
    expect(engineGpuFor('linux', 'x64', 'NVIDIA GeForce RTX 4090')).to.equal('cuda')
    expect(engineGpuFor('linux', 'x64', 'AMD Radeon RX 7900 XTX')).to.equal('vulkan')
    expect(engineGpuFor('darwin', 'arm64', 'Apple M3 Max')).to.equal(undefined)
  })

  it('leaves nothing half-done when npm fails, and says why', async () => {
    expect(await failure('console.error("npm error code ENOTFOUND"); process.exit(1)')).to.equal('npm cannot reach its registry; connect this machine to the network, or run Ollama on it')
    expect(await failure('process.exit(0)')).to.equal('npm finished, but node-llama-cpp is not there')
    expect((await readdir(enginesDir)).filter((name) => name !== 'npm.mjs')).to.deep.equal([])
  })

  it('ends at its deadline and when it is stopped', async () => {
    const forever = 'setInterval(() => {}, 1000)'
    expect(await failure(forever, { installMsMax: 300 })).to.match(/^the installation took longer than/)
    expect(await failure(forever, { signal: AbortSignal.timeout(100) })).to.equal('the installation was stopped')
    expect((await readdir(enginesDir)).filter((name) => name !== 'npm.mjs')).to.deep.equal([])
  })

  it('says so where there is no npm', async () => {
    const install = installEngine({ enginesDir, dataOnly: true, npm: ['/no/such/program'] })
    expect(await install.catch((error: unknown) => (error as Error).message)).to.equal('npm cannot be started (ENOENT); install Node with npm')
  })

  it('does not take an engine of another version or without its entry', async () => {
    const folder = join(enginesDir, `node-llama-cpp-${ENGINE_VERSION}`, 'node_modules', 'node-llama-cpp')
    await mkdir(join(folder, 'dist'), { recursive: true })
    await writeFile(join(folder, 'package.json'), JSON.stringify({ version: ENGINE_VERSION }))
    expect(await findEngine({ enginesDir, dataOnly: true })).to.equal(undefined)
    await writeFile(join(folder, 'dist', 'index.js'), '')
    expect(await findEngine({ enginesDir, dataOnly: true })).to.include({ version: ENGINE_VERSION })
    await writeFile(join(folder, 'package.json'), JSON.stringify({ version: '3.0.0' }))
    expect(await findEngine({ enginesDir, dataOnly: true })).to.equal(undefined)
  })

  it('removes what a killed installation left behind, and not what may still run', async () => {
    await mkdir(join(enginesDir, 'installing-old'))
    await mkdir(join(enginesDir, 'installing-new'))
    const hourAgo = Date.now() / 1_000 - 3_600
    await utimes(join(enginesDir, 'installing-old'), hourAgo, hourAgo)
    await installEngine({ enginesDir, dataOnly: true, npm: await npm(npmThatWorks) })
    expect((await readdir(enginesDir)).filter((name) => name.startsWith('installing-'))).to.deep.equal(['installing-new'])
  })

  it('knows the package of each platform that has one', () => {
    expect(enginePlatformPackage('linux', 'x64')).to.equal('@node-llama-cpp/linux-x64')
    expect(enginePlatformPackage('darwin', 'arm64')).to.equal('@node-llama-cpp/mac-arm64-metal')
    expect(enginePlatformPackage('win32', 'arm64')).to.equal('@node-llama-cpp/win-arm64')
    expect(enginePlatformPackage('freebsd', 'x64')).to.equal(undefined)
  })

  it('tells the reasons of npm apart', () => {
    expect(npmFailure('npm error code ENOSPC')).to.equal('the disk is full; the engine needs about 90 MB, with CUDA about 700 MB')
    expect(npmFailure('npm error code E404\nnpm error 404 no such package')).to.equal('npm could not install the engine: code E404')
    expect(npmFailure('')).to.equal('npm could not install the engine')
  })
})
