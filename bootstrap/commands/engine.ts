/** `triforce engine`: the llama.cpp that comes along, its builds for GPUs, and the devices that it finds. */
import { Option, type Command } from 'commander'
import { probeEngine } from '../../providers/embedded/device-list.ts'
import { chooseEngine, passedOverText } from '../../providers/embedded/engine-choice.ts'
import { engineGpus, findEngine, findEngineFor, installEngine, type EngineGpu, type EngineLocation } from '../../providers/embedded/engine-install.ts'
import { configDefaults } from '../config.ts'
import { createProgress } from '../progress.ts'
import { createStopRequest } from '../signals.ts'
import { createClock } from '../system.ts'
import { formatPairs } from '../table.ts'
import { printJson, type CommandContext } from './context.ts'

interface InstallFlags {
  readonly gpu?: EngineGpu
  readonly json?: boolean
}

const STOP_MS_MAX = 5_000

export function addEngineCommand(program: Command, context: CommandContext): void {
  const engine = program.command('engine').description('the llama.cpp engine that comes along, and its builds for GPUs')

  engine.command('install').description('install it for this user, once for all nodes')
    .addOption(new Option('--gpu <kind>', 'the build for this kind of GPU (default: for the processor, on macOS for Metal)').choices([...engineGpus]))
    .option('--json', 'print JSON')
    .action(async (flags: InstallFlags) => runInstall(flags, context))

  engine.command('show').description('show the build that a node here uses, and the devices it finds')
    .option('--json', 'print JSON')
    .action(async (flags: InstallFlags) => runShow(flags, context))
}

async function runInstall(flags: InstallFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  const { enginesDir } = configDefaults
  const known = flags.gpu === undefined ? await findEngine({ enginesDir }) : await findEngineFor(flags.gpu, { enginesDir })
  const stop = createStopRequest({ deadlineMs: STOP_MS_MAX })
  const progress = createProgress({ terminal, clock: createClock() })
  try {
    const location = known ?? await installEngine({
      enginesDir, signal: stop.signal, onProgress: (text) => { progress.waitFor(text) }, ...(flags.gpu === undefined ? {} : { gpu: flags.gpu }),
    })
    progress.waitFor('having the engine compute on its devices')
    await tell(location, { known: known !== undefined, json: flags.json === true }, context, () => progress.clear())
  } finally {
    progress.clear()
    stop.dispose()
  }
}

async function runShow(flags: InstallFlags, context: CommandContext): Promise<void> {
  const { engine: location, passedOver } = await chooseEngine({ enginesDir: configDefaults.enginesDir })
  if (location === undefined) {
    if (flags.json === true) return printJson(context.terminal, { installed: false })
    return context.terminal.note('llama.cpp is not installed; "triforce engine install" installs it, and so does the first contributor')
  }
  await tell(location, { known: true, json: flags.json === true }, context, () => {})
  for (const build of passedOver) context.terminal.note(passedOverText(build))
}

async function tell(location: EngineLocation, options: { readonly known: boolean; readonly json: boolean }, { terminal }: CommandContext, beforeOutput: () => void): Promise<void> {
  const { devices, computes, problem } = await probeEngine(location)
  beforeOutput()
  const build = location.gpu ?? 'ordinary'
  if (options.json) return printJson(terminal, { installed: true, known: options.known, version: location.version, build, devices: devices ?? null, computes, problem: problem ?? null })
  for (const line of formatPairs([
    ['engine', `llama.cpp (node-llama-cpp ${location.version}), ${build} build${options.known ? '' : ', installed now'}`],
    ['computes on', !computes ? `nothing: ${problem ?? 'it does not start on this machine'}` : devices?.names.join(', ') || 'the processor'],
    ...(devices === undefined || devices.vramBytes === 0 ? [] : [['memory', `${(devices.vramFreeBytes / 1024 ** 3).toFixed(1)} of ${(devices.vramBytes / 1024 ** 3).toFixed(1)} GB free`] as const]),
  ])) terminal.print(line)
  if (location.gpu !== undefined && !(computes && devices?.backend === location.gpu)) {
    terminal.note(passedOverText({ gpu: location.gpu, problem: computes ? 'it finds no GPU that it can use' : problem ?? 'it does not start' }))
  } else if (!options.known) {
    terminal.note('a contributor uses it from its next start on')
  }
}
