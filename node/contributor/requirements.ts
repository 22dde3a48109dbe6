/**
 * What the plan asks of a contributor's machine, minimum and recommended, and where one falls short of it, each with the
 * way out. Pure: the doctor and the hubs judge by the same table.
 */
import type { HardwareClaim, Shortfall } from '../../protocol/messages/contributor.ts'

const GIB = 1024 ** 3

/** The owner's plan, section 8. */
export const requirements = Object.freeze({
  minimum: Object.freeze({ vramGib: 8, ramGib: 16, uploadMbits: 100 }),
  recommended: Object.freeze({ vramGib: 24, ramGib: 32, uploadMbits: 500 }),
})

/** Drivers, firmware and protocols keep a little for themselves: "16 GB" of memory show as 15.5. */
const TOLERANCE = 0.94

const SYSTEMS = ['linux', 'darwin', 'win32']

/** The minimum first. Empty where nothing is missing. */
export function shortfallsOf(claim: HardwareClaim): readonly Shortfall[] {
  return [...gpu(claim), ...memory(claim), ...upload(claim), ...engine(claim), ...system(claim)]
    .sort((a, b) => Number(a.level === 'recommended') - Number(b.level === 'recommended'))
}

/** The first level that is not reached. */
function levelOf(have: number, minimum: number, recommended: number): Shortfall['level'] | undefined {
  if (have < minimum * TOLERANCE) return 'minimum'
  return have < recommended * TOLERANCE ? 'recommended' : undefined
}

function gpu({ gpus }: HardwareClaim): Shortfall[] {
  const largest = Math.max(0, ...gpus.map(({ vramBytes }) => vramBytes)) / GIB
  const level = levelOf(largest, requirements.minimum.vramGib, requirements.recommended.vramGib)
  if (level === undefined) return []
  const need = `${requirements[level].vramGib} GB of GPU memory`
  if (gpus.length === 0) {
    return [{ what: 'gpu', level, have: 'no GPU', need, fix: 'lend it all the same: it earns as class cpu and can serve small models; a card that is built in needs its driver ("nvidia-smi" must show it)' }]
  }
  const fix = level === 'minimum'
    ? 'serve models of up to 3B parameters, or a smaller quantisation (Q4); it earns by its class'
    : 'nothing to do: models of up to about 14B parameters in Q4 fit; larger ones need a larger card'
  return [{ what: 'gpu', level, have: `${largest.toFixed(1)} GB`, need, fix }]
}

function memory({ ramBytes }: HardwareClaim): Shortfall[] {
  if (ramBytes === 0) return []
  const level = levelOf(ramBytes / GIB, requirements.minimum.ramGib, requirements.recommended.ramGib)
  if (level === undefined) return []
  const fix = level === 'minimum' ? 'lend small models only: one that does not fit into memory is refused when it loads' : 'nothing to do: more memory lets larger models load faster'
  return [{ what: 'memory', level, have: `${(ramBytes / GIB).toFixed(1)} GB`, need: `${requirements[level].ramGib} GB of memory`, fix }]
}

function upload({ uploadMbits }: HardwareClaim): Shortfall[] {
  if (uploadMbits === undefined) return []
  const level = levelOf(uploadMbits, requirements.minimum.uploadMbits, requirements.recommended.uploadMbits)
  if (level === undefined) return []
  const fix = level === 'minimum'
    ? 'a stream of text needs less than 0.1 Mbit/s, so it works; with many streams at once they share the line: lower --slots if answers come in bursts'
    : 'nothing to do: it is enough for text'
  return [{ what: 'upload', level, have: `${mbitsText(uploadMbits)} Mbit/s`, need: `${requirements[level].uploadMbits} Mbit/s upload`, fix }]
}

function engine({ engines }: HardwareClaim): Shortfall[] {
  if (engines.length > 0) return []
  return [{ what: 'engine', level: 'minimum', have: 'no engine', need: 'llama.cpp or Ollama', fix: 'run "triforce engine install", or install Ollama from https://ollama.com' }]
}

function system({ platform }: HardwareClaim): Shortfall[] {
  const name = platform.split(' ', 1)[0]!
  if (name === '' || name === 'linux') return []
  if (SYSTEMS.includes(name)) return [{ what: 'system', level: 'recommended', have: platform, need: 'Linux', fix: 'nothing to do: it works; keep the machine from falling asleep while it lends' }]
  return [{ what: 'system', level: 'minimum', have: platform, need: 'Linux, macOS or Windows', fix: 'run it on one of these' }]
}

/** A figure that is no more exact than the measurement. */
export function mbitsText(mbits: number): string {
  return mbits >= 10 ? Math.round(mbits).toString() : mbits.toFixed(1)
}
