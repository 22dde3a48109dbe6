/**
 * Opens the engines that a node lends, as its configuration says: llama.cpp for GGUF files and the demo model, Ollama
 * where it runs, and the bench source where a bench asks for it. One that is not there is said and left out.
 */
import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { Gpu } from '../protocol/messages/capacity.ts'
import { TriforceError, toTriforceError } from '../protocol/errors.ts'
import { devicesOf } from '../node/capacity/devices.ts'
import { createBenchSource } from '../providers/bench-source.ts'
import { demoModelPath } from '../providers/embedded/demo-model.ts'
import { chooseEngine, passedOverText } from '../providers/embedded/engine-choice.ts'
import { ENGINE_VERSION, installEngine, type EngineLocation } from '../providers/embedded/engine-install.ts'
import { createEmbeddedProvider, type EmbeddedModelOption, type EmbeddedProvider } from '../providers/embedded/provider.ts'
import { createHardwareProbe, type Machine } from '../providers/hardware.ts'
import type { Provider } from '../providers/interface.ts'
import { createOllamaProvider } from '../providers/ollama.ts'
import { createProviderRegistry } from '../providers/registry.ts'
import { configDefaults, type NodeConfig } from './config.ts'
import { listModelFolder } from './model-folder.ts'
import type { System } from './system.ts'

/** What is announced of the machine; empty until the first probe is back. */
export interface LentHardware {
  gpus(): readonly Gpu[]
  /** Stable names of the devices that compute, at least one: an engine spreads a model over all GPUs. */
  devices(): readonly string[]
  /** All that is known of it; never rejects. */
  machine(): Promise<Machine>
  /** Engines that answer, with their version where it is known. */
  engines(): readonly string[]
  /** Memory of the GPUs that models may use. Gives whether that is held, in a sentence. */
  limitVram(gib: number | undefined): { readonly held: boolean; readonly text: string } | undefined
}

export async function openProviders(config: NodeConfig, system: System): Promise<{ provider: Provider; hardware: LentHardware }> {
  const { clock, random, log } = system
  const slots = config.slots === undefined ? {} : { slots: config.slots }
  const providers: Provider[] = []
  const models = await embeddedModels(config)
  let embedded: EmbeddedProvider | undefined
  if (config.embedded && models.length > 0) {
    embedded = createEmbeddedProvider({ clock, random, log }, { models, engine: await engineFor(system), dataDir: config.dir, ...slots })
    providers.push(embedded)
    await startEmbedded(embedded, system)
  }
  if (config.ollamaHost !== undefined) {
    const ollama = createOllamaProvider({ clock, random, log }, { host: config.ollamaHost, ...slots })
    providers.push(ollama)
    await ollama.start()
  }
  if (config.benchSource) providers.push(createBenchSource({ clock }, slots))
  return { provider: createProviderRegistry({ providers }), hardware: { ...probeHardware(config, system, providers), limitVram: (gib) => limitVram(embedded, config, gib) } }
}

async function startEmbedded(embedded: EmbeddedProvider, { log }: System): Promise<void> {
  await embedded.start()
  const health = embedded.health()
  log.child('engine')[health.ok ? 'info' : 'warn'](health.text)
}

/** The demo model, and the GGUF files that were named or lie in the named folders; where none are named, those that were pulled. */
async function embeddedModels(config: NodeConfig): Promise<EmbeddedModelOption[]> {
  const files: string[] = config.models.length > 0 ? [] : (await listModelFolder(configDefaults.modelsDir)).filter(({ complete }) => complete).map(({ path }) => path)
  for (const path of config.models) {
    const found = await stat(path).catch((cause: unknown) => {
      throw new TriforceError('CONFIG_INVALID', {}, { cause, detail: `--model ${path} does not exist; give a GGUF file or a folder of them` })
    })
    if (!found.isDirectory()) files.push(path)
    else for (const name of (await readdir(path)).sort()) if (extname(name).toLowerCase() === '.gguf') files.push(join(path, name))
  }
  return [...(config.demoModel ? [{ path: demoModelPath, keepLoaded: true }] : []), ...files.map((path) => ({ path }))]
}

/** The build that computes here, else one that is installed now, once for all nodes of this user; undefined where that fails. */
async function engineFor(system: System): Promise<EngineLocation | undefined> {
  const { enginesDir } = configDefaults
  const log = system.log.child('engine')
  const { engine, passedOver } = await chooseEngine({ enginesDir, onTry: (gpu) => log.info(`trying the ${gpu} build`) })
  for (const build of passedOver) log.warn(passedOverText(build))
  if (engine !== undefined) return engine
  try {
    return await installEngine({ enginesDir, onProgress: (text) => log.info(text) })
  } catch (reason) {
    log.warn(toTriforceError(reason, 'ENGINE_MISSING').message)
    return undefined
  }
}

const engineNames: Readonly<Record<string, string>> = { embedded: `llama.cpp (node-llama-cpp ${ENGINE_VERSION})`, ollama: 'Ollama' }

const GIB = 1024 ** 3

function limitVram(embedded: EmbeddedProvider | undefined, { ollamaHost }: NodeConfig, gib: number | undefined): ReturnType<LentHardware['limitVram']> {
  void embedded?.limitVram(gib === undefined ? undefined : gib * GIB)
  if (gib === undefined) return undefined
  const ofOllama = ollamaHost === undefined ? '' : ' Ollama is not held by it: set OLLAMA_GPU_OVERHEAD where Ollama starts, in bytes that it leaves free.'
  if (embedded === undefined) return { held: false, text: `The bound of ${gib} GB of GPU memory is not held: no llama.cpp engine runs here.${ofOllama}` }
  return { held: true, text: `llama.cpp loads models into the GPUs until ${gib} GB of them are in use, and leaves the rest of a model to the processor.${ofOllama}` }
}

function probeHardware(config: NodeConfig, { clock }: System, providers: readonly Provider[]): Omit<LentHardware, 'limitVram'> {
  const probe = createHardwareProbe({ clock }, { dataDir: config.dir })
  let hardware: Machine | undefined
  // A probe can take seconds and never rejects; the node does not wait for it.
  if (providers.length > 0) {
    void probe.read().then((read) => {
      hardware = read
    })
  }
  return {
    gpus: () => hardware?.gpus ?? [],
    devices: () => devicesOf(hardware?.gpus ?? []).map(({ device }) => device),
    machine: () => probe.read(),
    engines: () => providers.filter((provider) => provider.health().ok).flatMap((provider) => engineNames[provider.name] ?? []),
  }
}
