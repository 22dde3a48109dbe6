/**
 * Whether another program needs the GPU or the processor of this machine. Looks now and then; while answers are computed
 * here a total tells nothing, and then only the driver's list of programs counts, and what was seen before stays.
 */
import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { promisify } from 'node:util'
import type { Clock } from '../protocol/ports.ts'

export interface UseWatchComponents {
  readonly clock: Clock
  /** Answers that are computed here now. */
  readonly running: () => number
  readonly onChange: () => void
  /** Asks nvidia-smi; a test gives recorded answers. */
  readonly nvidia?: (args: readonly string[]) => Promise<string>
  /** Part of the processor that is busy since the last call, 0 to 1. */
  readonly processor?: () => number
}

export interface UseWatch {
  watch(what: 'off' | 'gpu' | 'processor'): void
  /** In words. */
  readonly usedBy: string | undefined
  stop(): void
}

const LOOK_MS = 5_000
const WAIT_MS_MAX = 5_000
/** A desktop draws its windows with a few per cent. */
const GPU_BUSY_PERCENT = 15
const PROCESSOR_BUSY = 0.5
/** One look may be an accident. */
const LOOKS_TO_YIELD = 2
/** A game that loads its next level is not over. */
const QUIET_MS = 60_000
/** Nothing can be told now. */
const UNKNOWN = Symbol('unknown')

/** Programs that are engines: of this node, or an Ollama that it lends. */
const ENGINES = /^(?:triforce-engine|ollama|ollama_llama_server|llama-server|node|node\.exe|ollama\.exe)$/i

export function createUseWatch(components: UseWatchComponents): UseWatch {
  const { clock, running, onChange } = components
  const nvidia = components.nvidia ?? nvidiaSmi
  const processor = components.processor ?? createProcessorUse()
  let what: 'off' | 'gpu' | 'processor' = 'off'
  let usedBy: string | undefined
  let looks = 0
  let seenMs = 0
  let cancel = (): void => {}

  async function look(): Promise<void> {
    const now = what
    const found = now === 'gpu' ? await gpuUser() : now === 'processor' ? processorUser() : undefined
    // It may have been switched meanwhile.
    if (now !== what || what === 'off') return
    take(found)
    cancel()
    cancel = clock.after(LOOK_MS, () => { void look() })
  }

  function take(found: string | typeof UNKNOWN | undefined): void {
    const before = usedBy
    if (found === UNKNOWN) return
    if (found !== undefined) {
      seenMs = clock.monotonicMs()
      looks += 1
      if (looks >= LOOKS_TO_YIELD) usedBy = found
    } else {
      looks = 0
      if (clock.monotonicMs() - seenMs >= QUIET_MS) usedBy = undefined
    }
    if (before !== usedBy) onChange()
  }

  async function gpuUser(): Promise<string | typeof UNKNOWN | undefined> {
    const programs = parseProgramTable(await nvidia(['pmon', '-c', '1', '-s', 'u']).catch(() => ''))
    const other = programs.find(({ name, percent }) => percent >= GPU_BUSY_PERCENT && !ENGINES.test(name))
    if (other !== undefined) return other.name
    if (running() > 0) return programs.length > 0 ? undefined : UNKNOWN
    const total = Math.max(0, ...(await nvidia(['--query-gpu=utilization.gpu', '--format=csv,noheader,nounits']).catch(() => '')).split('\n').map(Number).filter(Number.isFinite))
    return total >= GPU_BUSY_PERCENT ? `${total} % of the GPU` : undefined
  }

  function processorUser(): string | typeof UNKNOWN | undefined {
    const busy = processor()
    if (running() > 0) return UNKNOWN
    return busy >= PROCESSOR_BUSY ? `${Math.round(busy * 100)} % of the processor` : undefined
  }

  return {
    watch(next) {
      if (next === what) return
      what = next
      looks = 0
      cancel()
      if (next === 'off') {
        const before = usedBy
        usedBy = undefined
        if (before !== undefined) onChange()
      } else void look()
    },
    get usedBy() { return usedBy },
    stop() {
      what = 'off'
      cancel()
    },
  }
}

/** `nvidia-smi pmon -s u`: gpu, pid, type, sm %, …, command; `-` where the driver does not tell. */
export function parseProgramTable(text: string): readonly { readonly name: string; readonly percent: number }[] {
  return text.split('\n').filter((line) => !line.startsWith('#')).flatMap((line) => {
    const cells = line.trim().split(/\s+/)
    const [, pid = '', , percent = ''] = cells
    return /^\d+$/.test(pid) && /^\d+$/.test(percent) && cells.length >= 6 ? [{ name: cells.at(-1)!.slice(0, 64), percent: Number(percent) }] : []
  })
}

function createProcessorUse(): () => number {
  let before = times()
  return () => {
    const now = times()
    const [busy, all] = [now.busy - before.busy, now.all - before.all]
    before = now
    return all === 0 ? 0 : busy / all
  }
}

function times(): { readonly busy: number; readonly all: number } {
  return cpus().reduce((sum, { times: { user, nice, sys, idle, irq } }) => ({ busy: sum.busy + user + nice + sys + irq, all: sum.all + user + nice + sys + irq + idle }), { busy: 0, all: 0 })
}

async function nvidiaSmi(args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('nvidia-smi', args, { timeout: WAIT_MS_MAX, maxBuffer: 256 * 1024, windowsHide: true })
  return stdout
}
