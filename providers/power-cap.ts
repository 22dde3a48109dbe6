/**
 * A bound on the power of NVIDIA's cards, held by their driver: `nvidia-smi -pl`, which most systems allow to administrators
 * only. What the cards had before is given back at the end.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface PowerCap {
  /** Watts of each card; undefined takes the bound back. Gives what came of it, in a sentence; never rejects. */
  set(watts: number | undefined): Promise<PowerCapState | undefined>
}

export interface PowerCapState {
  readonly held: boolean
  readonly text: string
}

interface Card {
  readonly index: string
  readonly limit: number
  readonly min: number
  readonly max: number
}

const WAIT_MS_MAX = 10_000
const QUERY = ['--query-gpu=index,power.limit,power.min_limit,power.max_limit', '--format=csv,noheader,nounits']

/** `run`: asks nvidia-smi; a test gives recorded answers. */
export function createPowerCap(run: (args: readonly string[]) => Promise<string> = nvidiaSmi): PowerCap {
  /** Watts by card, as they were before. */
  let before = new Map<string, number>()

  async function limit(cards: readonly Card[], wattsOf: (card: Card) => number): Promise<string | undefined> {
    for (const card of cards) {
      try {
        await run(['-i', card.index, '-pl', String(wattsOf(card))])
      } catch (reason) {
        return problemOf(reason)
      }
    }
    return undefined
  }

  return {
    async set(watts) {
      const cards = parsePowerTable(await run(QUERY).catch(() => ''))
      if (watts === undefined) {
        await limit(cards.filter(({ index }) => before.has(index)), ({ index }) => before.get(index)!)
        before = new Map()
        return undefined
      }
      if (cards.length === 0) return { held: false, text: `The bound of ${watts} W is not held: no NVIDIA driver answers here; bound other cards with their own tool.` }
      const wrong = cards.find(({ min, max }) => watts < min || watts > max)
      if (wrong !== undefined) return { held: false, text: `The bound of ${watts} W is not held: card ${wrong.index} takes ${Math.ceil(wrong.min)} to ${Math.floor(wrong.max)} W.` }
      const known = before.size > 0 ? before : new Map(cards.map(({ index, limit: now }) => [index, now]))
      const problem = await limit(cards, () => watts)
      if (problem !== undefined) return { held: false, text: `The bound of ${watts} W is not held: ${problem}` }
      before = known
      return { held: true, text: `${cards.length === 1 ? 'The card takes' : `Each of the ${cards.length} cards takes`} ${watts} W at most.` }
    },
  }
}

/** The four columns of QUERY; a card that answers `[N/A]` is left out. */
export function parsePowerTable(text: string): readonly Card[] {
  return text.split('\n').flatMap((line) => {
    const [index = '', ...watts] = line.split(',').map((cell) => cell.trim())
    const [limit, min, max] = watts.map(Number)
    return /^\d+$/.test(index) && watts.length === 3 && [limit, min, max].every((value) => Number.isFinite(value) && value! > 0) ? [{ index, limit: limit!, min: min!, max: max! }] : []
  })
}

/** nvidia-smi says it on stdout, and leaves with a code. */
function problemOf(reason: unknown): string {
  const { stdout = '', stderr = '', code = 'no answer' } = reason as { stdout?: string; stderr?: string; code?: number | string }
  if (/permission|root|administrator/i.test(stdout + stderr)) return 'the driver lets administrators only do that; run the node as one, or once by hand: sudo nvidia-smi -pl WATTS.'
  return `nvidia-smi refused it (${code}).`
}

async function nvidiaSmi(args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('nvidia-smi', args, { timeout: WAIT_MS_MAX, maxBuffer: 64 * 1024, windowsHide: true })
  return stdout
}
