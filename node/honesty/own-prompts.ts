/**
 * Requests whose accounts allowed that they are asked again (`triforce.checks: true`): the only ones besides made-up
 * questions that a check may use, and only at hosts that their privacy class allows. In memory, few, and for an hour.
 */
import type { CompletionRequest } from '../../protocol/completion.ts'
import type { Clock, Random } from '../../protocol/ports.ts'

export interface OwnPrompts {
  add(request: CompletionRequest): void
  /** One for this model, not asked for more often than the others. */
  next(model: string): CompletionRequest | undefined
  readonly size: number
}

const PROMPTS_MAX = 256
const CHARS_MAX = 8_192
const KEPT_MS = 3_600_000
/** A prompt that comes back again and again is known to be a check. */
const USES_MAX = 2

export function createOwnPrompts({ clock, random }: { readonly clock: Clock; readonly random: Random }): OwnPrompts {
  const prompts = new Set<{ readonly request: CompletionRequest; readonly untilMs: number; uses: number }>()

  return {
    add(request) {
      const chars = request.messages.reduce((sum, { content }) => sum + (typeof content === 'string' ? content.length : Infinity), 0)
      if (chars > CHARS_MAX) return
      if (prompts.size >= PROMPTS_MAX) prompts.delete(prompts.values().next().value!)
      prompts.add({ request, untilMs: clock.monotonicMs() + KEPT_MS, uses: 0 })
    },
    next(model) {
      const nowMs = clock.monotonicMs()
      for (const prompt of prompts) if (prompt.untilMs <= nowMs) prompts.delete(prompt)
      const fitting = [...prompts].filter(({ request }) => request.model === model)
      const chosen = fitting[Math.floor(random.unit() * fitting.length)]
      if (chosen === undefined) return undefined
      chosen.uses += 1
      if (chosen.uses >= USES_MAX) prompts.delete(chosen)
      return chosen.request
    },
    get size() { return prompts.size },
  }
}
