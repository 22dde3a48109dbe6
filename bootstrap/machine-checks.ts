/**
 * The checks of `triforce doctor` that are about lending: what this machine has, what it would earn by the hardware table,
 * where it falls short of the plan's, and the way out of each.
 */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { hardwareRate } from '../ledger/tables/lookup.ts'
import { devicesOf } from '../node/capacity/devices.ts'
import { mbitsText, shortfallsOf } from '../node/contributor/requirements.ts'
import type { Federation } from '../protocol/federation.ts'
import type { HardwareClaim, Shortfall } from '../protocol/messages/contributor.ts'
import { formatCredits } from '../protocol/units.ts'
import { probeEngine, type EngineDevices } from '../providers/embedded/device-list.ts'
import { chooseEngine, passedOverText, type PassedOver } from '../providers/embedded/engine-choice.ts'
import { ENGINE_VERSION, engineGpuFor, findEngine, type EngineLocation } from '../providers/embedded/engine-install.ts'
import { createHardwareProbe, type Machine } from '../providers/hardware.ts'
import { configDefaults } from './config.ts'
import type { Check } from './doctor-checks.ts'
import type { LinkReport } from './link-probe.ts'
import { claimOf } from './node-lending.ts'
import { createClock } from './system.ts'

export interface MachineCheckInput {
  readonly dir: string
  readonly ollamaAnswers: boolean
  readonly federation: Federation | undefined
  /** Without the engine's devices and the line. */
  readonly quick: boolean
}

const GIB = 1024 ** 3

export async function machineChecks({ dir, ollamaAnswers, federation, quick }: MachineCheckInput): Promise<readonly Check[]> {
  const [machine, { engine, devices, passedOver }, link] = await Promise.all([
    createHardwareProbe({ clock: createClock() }, { dataDir: existsSync(dir) ? dir : homedir() }).read(),
    engineFindings(quick),
    // Loaded here only: libp2p takes most of a command's start.
    federation === undefined || quick ? undefined : import('./link-probe.ts').then(({ probeLink }) => probeLink(federation)),
  ])
  const engines = [...(engine === undefined ? [] : [`llama.cpp (node-llama-cpp ${ENGINE_VERSION})`]), ...(ollamaAnswers ? ['Ollama'] : [])]
  return describeMachine({ machine, devices, passedOver, link, engines, isLocal: federation?.kind === 'local' })
}

/** What a node here would use, tried as it would try it. */
async function engineFindings(quick: boolean): Promise<{ engine: EngineLocation | undefined; devices: EngineDevices | undefined; passedOver: readonly PassedOver[] }> {
  const { enginesDir } = configDefaults
  if (quick) return { engine: await findEngine({ enginesDir }), devices: undefined, passedOver: [] }
  const { engine, devices, passedOver } = await chooseEngine({ enginesDir })
  return { engine, devices: devices ?? (engine === undefined ? undefined : (await probeEngine(engine)).devices), passedOver }
}

export interface MachineFindings {
  readonly machine: Machine
  readonly devices: EngineDevices | undefined
  /** Builds for a GPU that are installed and do not compute here. */
  readonly passedOver: readonly PassedOver[]
  readonly link: LinkReport | undefined
  readonly engines: readonly string[]
  /** The federation is one of this machine alone, and need not run. */
  readonly isLocal: boolean
}

/** Pure: from what was found to lines with their way out. */
export function describeMachine({ machine, devices, passedOver, link, engines, isLocal }: MachineFindings): readonly Check[] {
  const claim = claimOf(machine, engines, link?.line)
  const { cpu, cores, ramBytes } = machine
  return [
    graphics(machine),
    { name: 'processor', result: 'ok', text: `${cpu}, ${cores} cores, ${(ramBytes / GIB).toFixed(1)} GB memory`, data: { cpu, cores, ram_bytes: ramBytes, platform: machine.platform } },
    ...(devices === undefined ? [] : [deviceCheck(machine, devices, passedOver)]),
    ...(link === undefined ? [] : linkChecks(link, isLocal)),
    earnings(claim),
    ...requirementChecks(shortfallsOf(claim)),
  ]
}

function graphics({ gpus, driver, cuda, problems }: Machine): Check {
  const cards = gpus.map(({ name, vramBytes, vramFreeBytes }) => `${name}, ${(vramBytes / GIB).toFixed(1)} GB (${(vramFreeBytes / GIB).toFixed(1)} free)`)
  const versions = [...(driver === undefined ? [] : [`driver ${driver}`]), ...(cuda === undefined ? [] : [`CUDA ${cuda}`])]
  const text = cards.length === 0 ? 'no GPU that can hold a model' : [...cards, ...versions].join('; ')
  return {
    name: 'graphics', result: problems.length === 0 ? 'ok' : 'warn', text: [text, ...problems].join('; '),
    data: { gpus: gpus.map(({ name, vramBytes, vramFreeBytes }) => ({ name, vram_bytes: vramBytes, vram_free_bytes: vramFreeBytes })), driver_version: driver ?? null, cuda_version: cuda ?? null, problems },
  }
}

/** The driver's word and the engine's: only what the engine finds computes. */
function deviceCheck({ gpus, platform }: Machine, devices: EngineDevices, passedOver: readonly PassedOver[]): Check {
  const left = passedOver.map(({ gpu, problem }) => ({ build: gpu, problem }))
  const data = { backend: devices.backend, names: devices.names, vram_bytes: devices.vramBytes, left_aside: left }
  const [card] = gpus
  const reasons = passedOver.map(passedOverText)
  if (devices.backend !== 'cpu') {
    const text = [`${devices.backend}: ${devices.names.join(', ')}`, ...reasons].join('; ')
    return { name: 'engine on', result: 'ok', text, data }
  }
  if (card === undefined && reasons.length === 0) return { name: 'engine on', result: 'ok', text: 'the processor', data }
  const where = card === undefined ? 'the processor' : `the processor, although there is a ${card.name}`
  return { name: 'engine on', result: 'warn', text: [where, ...(reasons.length > 0 ? reasons : [buildFor(platform, card!.name)])].join('; '), data }
}

function buildFor(platform: string, card: string): string {
  const [system = '', arch = ''] = platform.split(' ')
  switch (engineGpuFor(system, arch, card)) {
    case undefined: return 'lend its models with Ollama'
    case 'vulkan': return 'install the build for it: triforce engine install --gpu vulkan'
    case 'cuda': return 'install a build for it: triforce engine install --gpu vulkan, which needs the driver only, or --gpu cuda where CUDA 12 or 13 is installed'
  }
}

function linkChecks({ hubs, line }: LinkReport, isLocal: boolean): Check[] {
  const [reached, missed] = [hubs.filter((hub) => hub.reached), hubs.filter((hub) => !hub.reached)]
  if (reached.length === 0 && isLocal) return [{ name: 'hubs', result: 'ok', text: 'the federation of this machine does not run; "triforce up" starts it', data: { hubs } }]
  const names = (list: typeof hubs): string => list.map(({ name }) => name).join(', ')
  const text = missed.length === 0
    ? `${names(reached)} reached; jobs come over these connections, no port needs to be open`
    : `${missed.length} of ${hubs.length} not reached (${names(missed)}); is the network up, and is outgoing TCP to their port allowed?`
  return [
    { name: 'hubs', result: reached.length === 0 ? 'fail' : missed.length === 0 ? 'ok' : 'warn', text, data: { hubs } },
    ...(line === undefined ? [] : [{
      name: 'upload', result: 'ok' as const, text: `${mbitsText(line.uploadMbits)} Mbit/s to ${line.hub}, ${line.rttMs} ms there and back`,
      data: { mbits: line.uploadMbits, round_trip_ms: line.rttMs, hub: line.hub },
    }]),
  ]
}

/** By the table of the plan: a federation may have changed it, then its hubs say so at the registration. */
function earnings({ gpus }: HardwareClaim): Check {
  const rates = devicesOf(gpus).map(({ device, name, vramBytes }) => {
    const rate = hardwareRate({ tables: new Map() }, 0, vramBytes === 0 ? undefined : { name, vramBytes }, 'contributor')!
    return { device, class: rate.class, busy: formatCredits(rate.busyMicroCreditsPerHour), standby: formatCredits(rate.standbyMicroCreditsPerHour) }
  })
  return {
    name: 'earns', result: 'ok', text: rates.map(({ class: kind, busy, standby }) => `class ${kind}: ${busy} ${busy === '1' ? 'credit' : 'credits'} an hour while it answers, ${standby} while it stands by`).join('; '),
    data: { devices: rates.map(({ device, class: kind, busy, standby }) => ({ device, class: kind, credits_per_hour: busy, standby_credits_per_hour: standby })) },
  }
}

function requirementChecks(shortfalls: readonly Shortfall[]): Check[] {
  if (shortfalls.length === 0) return [{ name: 'for lending', result: 'ok', text: 'all that is recommended', data: { missing: [] } }]
  return shortfalls.map((shortfall) => ({
    name: shortfall.level === 'minimum' ? 'below minimum' : 'recommended', result: shortfall.level === 'minimum' ? 'warn' : 'ok',
    text: `${shortfall.have}, ${shortfall.need} wanted; ${shortfall.fix}`, data: { missing: [shortfall] },
  }))
}
