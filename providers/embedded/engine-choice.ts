/**
 * Which of the builds of the engine that are installed a node uses: the first that computes on this machine.
 *
 * A build for a GPU can find the card and still die at the first token: CUDA's build has ready kernels for some generations of
 * cards, and the driver must be new enough to translate its kernels for the others. So each is tried before it is trusted.
 */
import { probeEngine, type EngineDevices, type EngineProbe } from './device-list.ts'
import { engineGpus, findEngine, findEngineFor, type EngineFindOptions, type EngineGpu, type EngineLocation } from './engine-install.ts'

/** A build that is installed and not used, with the reason in the engine's words. */
export interface PassedOver {
  readonly gpu: EngineGpu
  readonly problem: string
}

export interface EngineChoice {
  /** Undefined where none is installed. */
  readonly engine: EngineLocation | undefined
  /** What it computes on; undefined where it was not asked. */
  readonly devices: EngineDevices | undefined
  readonly passedOver: readonly PassedOver[]
}

export interface EngineChoiceOptions extends EngineFindOptions {
  /** A build is being tried, which can take some seconds. */
  readonly onTry?: (gpu: EngineGpu) => void
  readonly probe?: (engine: EngineLocation) => Promise<EngineProbe>
}

export async function chooseEngine(options: EngineChoiceOptions): Promise<EngineChoice> {
  const { onTry, probe = probeEngine } = options
  const passedOver: PassedOver[] = []
  let installed: EngineLocation | undefined
  for (const gpu of engineGpus) {
    const build = await findEngineFor(gpu, options)
    if (build === undefined) continue
    onTry?.(gpu)
    const { devices, computes, problem } = await probe(build)
    if (devices?.backend === gpu && computes) return { engine: build, devices, passedOver }
    installed ??= build
    passedOver.push({ gpu, problem: computes ? 'it finds no GPU that it can use' : problem ?? 'it does not start' })
  }
  const ordinary = await findEngine(options, { gpuBuilds: false })
  if (ordinary !== undefined) return { engine: ordinary, devices: undefined, passedOver }
  // The packages of a GPU build hold the ordinary binaries too.
  return { engine: installed === undefined ? undefined : { entry: installed.entry, version: installed.version, processorOnly: true }, devices: undefined, passedOver }
}

const WAYS_OUT: Readonly<Record<EngineGpu, string>> = {
  cuda: 'it needs CUDA 12 or 13 (libcudart, libcublas) beside the driver, and for cards without ready kernels in it a driver of CUDA 13.1 or newer; "triforce engine install --gpu vulkan" needs the driver only',
  vulkan: 'it needs the driver of the card and the Vulkan loader (libvulkan1 on Debian and Ubuntu, vulkan-loader on Fedora)',
}

/** One sentence, with the way out. */
export function passedOverText({ gpu, problem }: PassedOver): string {
  return `the ${gpu} build does not compute on this machine and is left aside: ${problem}; ${WAYS_OUT[gpu]}`
}
