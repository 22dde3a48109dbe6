/**
 * What ordinary jobs look like here, without a word of them: a fair sample of the last ones, from which checks take their
 * form. Where there were none yet, some common forms stand in.
 */
import type { CompletionRequest } from '../../protocol/completion.ts'
import type { Random } from '../../protocol/ports.ts'

export interface JobShape {
  readonly system: boolean
  /** Messages besides the system's, an odd number. */
  readonly turns: number
  readonly maxTokens?: number
  readonly temperature?: number
  readonly topP?: number
  readonly tier: string
}

export interface Shapes {
  saw(request: CompletionRequest, tier: string): void
  next(): JobShape
}

const SAMPLE = 256
const TURNS_MAX = 5

const common: readonly JobShape[] = [
  { system: true, turns: 1, tier: 'free' }, { system: false, turns: 1, maxTokens: 256, temperature: 0, tier: 'free' },
  { system: true, turns: 3, maxTokens: 512, temperature: 0.7, tier: 'contributor' }, { system: false, turns: 1, maxTokens: 128, temperature: 0.2, tier: 'pro' },
]

export function createShapes({ random }: { readonly random: Random }): Shapes {
  const sample: JobShape[] = []
  let seen = 0

  return {
    saw(request, tier) {
      seen += 1
      // Each of the last jobs is in the sample with the same chance; older ones fade.
      const place = sample.length < SAMPLE ? sample.length : Math.floor(random.unit() * Math.min(seen, 16 * SAMPLE))
      if (place < SAMPLE) sample[place] = shapeOf(request, tier)
    },
    next() {
      const from = sample.length < common.length ? common : sample
      return from[Math.floor(random.unit() * from.length)]!
    },
  }
}

function shapeOf({ messages, maxTokens, temperature, topP }: CompletionRequest, tier: string): JobShape {
  const turns = Math.min(TURNS_MAX, messages.filter(({ role }) => role === 'user').length * 2 - 1)
  return {
    system: messages[0]?.role === 'system', turns: Math.max(1, turns), tier, ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(temperature === undefined ? {} : { temperature }), ...(topP === undefined ? {} : { topP }),
  }
}
