/**
 * Where node-llama-cpp is, and how to get it.
 *
 * The published package does not depend on it: its GPU packages would pull 700 MB into every install. It is found by
 * normal resolution (this repository, or a user who installed it) or in a data folder, into which it is installed on
 * demand: only the package for this platform, into a temporary folder that gets its name when it is complete.
 */
import { spawn } from 'node:child_process'
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { TriforceError } from '../../protocol/errors.ts'

/** Exact, because 3.22.1 lacks the packages of macOS and Windows in the registry, and prompts are built on its inner workings. */
export const ENGINE_VERSION = '3.21.1'

/** Builds for a GPU are packages of their own, several hundred megabytes large. */
export const engineGpus = ['cuda', 'vulkan'] as const
export type EngineGpu = (typeof engineGpus)[number]

export interface EngineLocation {
  /** URL of the entry module. */
  readonly entry: string
  readonly version: string
  /** Absent: the build for the processor (on macOS: Metal). */
  readonly gpu?: EngineGpu
  /** No GPU is to be tried, because it does not work with this build. */
  readonly processorOnly?: true
}

export interface EngineFindOptions {
  readonly enginesDir: string
  /** True: look in `enginesDir` only, as if nobody had installed the package beside TriForce. */
  readonly dataOnly?: boolean
}

export interface EngineInstallOptions extends EngineFindOptions {
  /** The build for a GPU; default: for the processor. */
  readonly gpu?: EngineGpu | undefined
  readonly signal?: AbortSignal
  /** One short line, now and then. */
  readonly onProgress?: (text: string) => void
  /** Default 600,000 ms: 75 MB over a slow line; with CUDA 1,800,000 ms. */
  readonly installMsMax?: number
  /** Command that runs npm, as program and first arguments. Default: the npm that runs us, else the one on PATH. */
  readonly npm?: readonly string[]
}

export const engineInstallDefaults = Object.freeze({ installMsMax: 600_000 })

/** What is fetched, for people; unpacked it is about twice as much. */
const FETCHED: Readonly<Record<EngineGpu | 'cpu', string>> = { cpu: '75 MB', vulkan: '100 MB', cuda: '400 MB' }
const CUDA_MS_MAX = 1_800_000

const OUTPUT_CHARS_MAX = 8_192
const TEMPORARY = 'installing-'

/** The engine, or undefined where it is not installed. A build for a GPU that somebody installed comes first, unless they are left out; chooseEngine tries them. */
export async function findEngine(options: EngineFindOptions, { gpuBuilds = true } = {}): Promise<EngineLocation | undefined> {
  const { enginesDir } = options
  for (const gpu of gpuBuilds ? engineGpus : []) {
    const found = await findEngineFor(gpu, options)
    if (found !== undefined) return found
  }
  const beside = options.dataOnly === true ? undefined : await locationAt(resolvedFolder())
  return beside ?? await locationAt(packageFolder(engineFolder(enginesDir)))
}

/** The build for this GPU, or undefined where it is not installed. */
export async function findEngineFor(gpu: EngineGpu, { enginesDir }: EngineFindOptions): Promise<EngineLocation | undefined> {
  const found = await locationAt(packageFolder(engineFolder(enginesDir, gpu)))
  return found === undefined ? undefined : { ...found, gpu }
}

/** Installs the engine for this platform; gives where it is. Throws ENGINE_MISSING with the reason in words. */
export async function installEngine(options: EngineInstallOptions): Promise<EngineLocation> {
  const { enginesDir, onProgress, gpu } = options
  const found = gpu === undefined ? await findEngine(options) : await findEngineFor(gpu, options)
  if (found !== undefined) return found
  const packages = enginePackages(process.platform, process.arch, gpu)
  if (packages === undefined) {
    throw missing(gpu === undefined
      ? `there is no llama.cpp for ${process.platform} on ${process.arch}; run Ollama on this machine instead`
      : `there is no ready build of llama.cpp with ${gpu} for ${process.platform} on ${process.arch}; run Ollama on this machine instead`)
  }
  const target = engineFolder(enginesDir, gpu)
  await mkdir(enginesDir, { recursive: true })
  await removeAbandoned(options)
  const temporary = await mkdtemp(join(enginesDir, TEMPORARY))
  try {
    onProgress?.(`installing node-llama-cpp ${ENGINE_VERSION}${gpu === undefined ? '' : ` with ${gpu}`} (about ${FETCHED[gpu ?? 'cpu']})`)
    // Without a package.json of its own, npm would look for one further up.
    await writeFile(join(temporary, 'package.json'), '{"private":true}\n')
    await runNpm(temporary, packages, options)
    if (await locationAt(packageFolder(temporary)) === undefined) throw missing('npm finished, but node-llama-cpp is not there')
    await rename(temporary, target).catch(async (error: unknown) => {
      // Another process was faster; its result is as good.
      if (await locationAt(packageFolder(target)) === undefined) throw error
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
  const location = await locationAt(packageFolder(target))
  if (location === undefined) throw missing('node-llama-cpp was installed, but cannot be found')
  onProgress?.('installed')
  return gpu === undefined ? location : { ...location, gpu }
}

/** What is installed beside node-llama-cpp itself; undefined where there is no ready build. */
export function enginePackages(platform: string, arch: string, gpu: EngineGpu | undefined): readonly string[] | undefined {
  const base = enginePlatformPackage(platform, arch)
  if (base === undefined || gpu === undefined) return base === undefined ? undefined : [base]
  if (arch !== 'x64' || (platform !== 'linux' && platform !== 'win32')) return undefined
  // cuda-ext holds the build for CUDA 12; CUDA's own libraries come from the system.
  return gpu === 'cuda' ? [base, `${base}-cuda`, `${base}-cuda-ext`] : [base, `${base}-vulkan`]
}

/** The build that suits a card, by its name; undefined where the ordinary one does, or none is there. */
export function engineGpuFor(platform: string, arch: string, gpuName: string): EngineGpu | undefined {
  const gpu = /nvidia|geforce|rtx|tesla|quadro/i.test(gpuName) ? 'cuda' : 'vulkan'
  return enginePackages(platform, arch, gpu) === undefined ? undefined : gpu
}

/** The package with the CPU (on macOS: Metal) binaries of a platform. */
export function enginePlatformPackage(platform: string, arch: string): string | undefined {
  const known: Readonly<Record<string, string>> = {
    'linux x64': 'linux-x64', 'linux arm64': 'linux-arm64', 'linux arm': 'linux-armv7l', 'darwin arm64': 'mac-arm64-metal',
    'darwin x64': 'mac-x64', 'win32 x64': 'win-x64', 'win32 arm64': 'win-arm64',
  }
  const name = known[`${platform} ${arch}`]
  return name === undefined ? undefined : `@node-llama-cpp/${name}`
}

/** How to start npm: the script that runs us when started by npm, the one beside node, or the program on PATH. */
export async function npmCommand(env: Readonly<Record<string, string | undefined>>): Promise<readonly string[]> {
  const nodeDir = dirname(process.execPath)
  const scripts = [
    env['npm_execpath'],
    join(nodeDir, 'node_modules/npm/bin/npm-cli.js'),
    join(nodeDir, '../lib/node_modules/npm/bin/npm-cli.js'),
  ]
  for (const script of scripts) {
    // yarn and pnpm set npm_execpath too, but take other arguments.
    if (script !== undefined && /npm-cli\.c?js$/.test(script) && await exists(script)) return [process.execPath, script]
  }
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm']
}

/** Removes what an installation left behind that was killed; one that may still run is left alone. */
async function removeAbandoned(options: EngineInstallOptions): Promise<void> {
  const { enginesDir } = options
  const installMsMax = installMs(options)
  for (const name of await readdir(enginesDir)) {
    if (!name.startsWith(TEMPORARY)) continue
    const folder = join(enginesDir, name)
    const { mtimeMs } = await stat(folder)
    if (Date.now() - mtimeMs > installMsMax) await rm(folder, { recursive: true, force: true })
  }
}

async function runNpm(folder: string, packages: readonly string[], options: EngineInstallOptions): Promise<void> {
  const [program = 'npm', ...first] = options.npm ?? await npmCommand(process.env)
  const args = [
    ...first, 'install', '--prefix', folder, '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=http',
    `node-llama-cpp@${ENGINE_VERSION}`, ...packages.map((name) => `${name}@${ENGINE_VERSION}`),
  ]
  const installMsMax = installMs(options)
  const deadline = AbortSignal.timeout(installMsMax)
  const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal])
  let output = ''
  const code = await new Promise<number | null>((resolve, reject) => {
    // A `.cmd` file needs a shell; nothing in the arguments comes from outside.
    const child = spawn(program, args, { cwd: folder, signal, stdio: ['ignore', 'pipe', 'pipe'], shell: program.endsWith('.cmd') })
    let fetched = 0
    const take = (chunk: Buffer): void => {
      const text = chunk.toString('utf8')
      output = (output + text).slice(-OUTPUT_CHARS_MAX)
      const count = text.split('http fetch').length - 1
      if (count === 0) return
      fetched += count
      options.onProgress?.(`${fetched} packages looked up or fetched`)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', reject)
    child.on('close', resolve)
  }).catch((error: unknown) => {
    if (options.signal?.aborted === true) throw missing('the installation was stopped', error)
    if (deadline.aborted) throw missing(`the installation took longer than ${Math.round(installMsMax / 1_000)} s`, error)
    throw missing(`npm cannot be started (${(error as NodeJS.ErrnoException).code ?? 'unknown error'}); install Node with npm`, error)
  })
  if (code !== 0) throw missing(npmFailure(output))
}

/** What an npm that failed said, as one sentence. */
export function npmFailure(output: string): string {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ECONNRESET|EIDLETIMEOUT/.test(output)) {
    return 'npm cannot reach its registry; connect this machine to the network, or run Ollama on it'
  }
  if (output.includes('ENOSPC')) return 'the disk is full; the engine needs about 90 MB, with CUDA about 700 MB'
  const line = output.split('\n').find((text) => /npm (error|ERR!)/.test(text))
  return `npm could not install the engine${line === undefined ? '' : `: ${line.replace(/^.*npm (error|ERR!)\s*/, '').slice(0, 200)}`}`
}

function installMs({ installMsMax, gpu }: EngineInstallOptions): number {
  return installMsMax ?? (gpu === 'cuda' ? CUDA_MS_MAX : engineInstallDefaults.installMsMax)
}

function engineFolder(enginesDir: string, gpu?: EngineGpu): string {
  return join(enginesDir, `node-llama-cpp-${ENGINE_VERSION}${gpu === undefined ? '' : `-${gpu}`}`)
}

function packageFolder(prefix: string): string {
  return join(prefix, 'node_modules', 'node-llama-cpp')
}

/** Folder of the package as Node resolves it from here; its entry is `<folder>/dist/index.js`. */
function resolvedFolder(): string | undefined {
  try {
    return dirname(dirname(fileURLToPath(import.meta.resolve('node-llama-cpp'))))
  } catch {
    return undefined
  }
}

/** The engine in this folder, if it is there whole and of the right version. */
async function locationAt(folder: string | undefined): Promise<EngineLocation | undefined> {
  if (folder === undefined) return undefined
  try {
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version?: unknown }
    const entry = join(folder, 'dist', 'index.js')
    return version === ENGINE_VERSION && await exists(entry) ? { entry: pathToFileURL(entry).href, version } : undefined
  } catch {
    return undefined
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(() => true, () => false)
}

function missing(detail: string, cause?: unknown): TriforceError {
  return new TriforceError('ENGINE_MISSING', {}, { detail, cause })
}
