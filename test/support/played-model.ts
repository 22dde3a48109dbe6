/**
 * A model played by a hash: the same weights give the same words to the same question, other weights others, at a speed that
 * is set. And the cheats: nodes whose provider says one thing and does another.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { textOf, type ChatMessage, type CompletionRequest } from '../../protocol/completion.ts'
import type { Gpu, OfferedModel } from '../../protocol/messages/capacity.ts'
import type { Provider, ProviderEvent } from '../../providers/interface.ts'

export const cheatKinds = ['honest', 'smaller model', 'inflated tokens', 'replayed answers', 'A100 on a processor', 'slow host', 'only checks answered well', 'always busy'] as const
export type CheatKind = typeof cheatKinds[number]

export const PLAYED_MODEL = 'played-8b'
const DIGEST = createHash('sha256').update('the weights that all of them claim').digest('hex')
const GIB = 1024 ** 3

const WORDS = 'alder birch cedar daisy elder fern grove hazel iris jasmine kelp larch maple nettle olive poplar quince reed sage thyme umbel violet willow yarrow'.split(' ')
/** An honest A100 with a small model; and a processor, or a machine that is busy with something else, whose streams share what it has. */
const QUICK = 1_500
const SLOW = 40

export function playedModel(kind: CheatKind): OfferedModel {
  return {
    id: PLAYED_MODEL, digest: DIGEST, quantization: 'Q4_K_M', contextTokens: 8_192, parameters: 8_000_000_000, capabilities: ['chat'],
    tokensPerSecond: kind === 'A100 on a processor' ? 0 : 200, loaded: true, demo: false,
  }
}

export function playedGpus(kind: CheatKind): readonly Gpu[] {
  const name = kind === 'A100 on a processor' ? 'NVIDIA A100-SXM4-80GB' : 'NVIDIA GeForce RTX 4090'
  const vramBytes = (kind === 'A100 on a processor' ? 80 : 24) * GIB
  return [{ name, vramBytes, vramFreeBytes: vramBytes }]
}

/** `marks`: what gives a check away to the cheat that answers only checks well: words that stand in every made-up question. */
export function createPlayedProvider(kind: CheatKind, options: { readonly isCheck?: (messages: readonly ChatMessage[]) => boolean } = {}): Provider {
  const { isCheck = () => false } = options
  let last: string[] | undefined
  let jobs = 0
  let slowStreams = 0

  function wordsFor(request: CompletionRequest): string[] {
    const isSmall = kind === 'smaller model' || (kind === 'only checks answered well' && !isCheck(request.messages))
    if (kind === 'replayed answers' && last !== undefined) return last
    const sampled = request.temperature === 0 ? '' : String(request.seed ?? Math.random())
    const hash = createHash('sha256').update(isSmall ? 'small' : 'large').update(sampled).update(request.messages.map((message) => `${message.role}: ${textOf(message)}`).join('\n')).digest()
    const count = Math.min(request.maxTokens ?? 64, 36 + hash[0]! % 24)
    last = Array.from({ length: count }, (_, index) => `${WORDS[(hash[(index + 1) % 32]! + index * 7) % WORDS.length]!} `)
    return last
  }

  return {
    name: 'played', slots: 4,
    models: () => [playedModel(kind)],
    onChange: () => () => undefined,
    health: () => ({ ok: true, text: 'a played model' }),
    close: () => Promise.resolve(),
    async *run(request, { signal }): AsyncGenerator<ProviderEvent> {
      jobs += 1
      const words = wordsFor(request)
      const times = kind === 'inflated tokens' ? 1.4 : 1
      // The slow one is quick until it is trusted, and now and then afterwards.
      const isSlow = kind === 'A100 on a processor' || (kind === 'slow host' && jobs > 4 && jobs % 10 !== 0)
      // So says who would not be timed.
      if (kind === 'always busy') yield { type: 'state', state: { state: 'queued', position: 1 } }
      yield { type: 'state', state: { state: 'running' } }
      let given = 0
      if (isSlow) slowStreams += 1
      try {
        while (given < words.length && !signal.aborted) {
          const piece = words.slice(given, given + 12)
          await sleep(piece.length * 1_000 / (isSlow ? SLOW / slowStreams : QUICK))
          given += piece.length
          yield { type: 'text', text: piece.join(''), tokens: Math.round(given * times) }
        }
      } finally {
        if (isSlow) slowStreams -= 1
      }
      const usage = { promptTokens: 10, completionTokens: Math.round(given * times) }
      yield { type: 'end', finish: signal.aborted ? 'cancelled' : given >= (request.maxTokens ?? Infinity) ? 'length' : 'stop', usage }
    },
  }
}
