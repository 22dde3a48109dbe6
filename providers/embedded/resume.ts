/**
 * The beginning of an answer that another host made, as the state in which that host was: its tokens, and the decoder and
 * the stop strings as they stood after them. Runs in the engine process.
 *
 * Takes the token ids where they came along, and only where they give exactly the text that the client has: they come from
 * another machine. Else the text is tokenized, which goes on well but may not give the very same answer.
 */
import type { LlamaModel, Token } from 'node-llama-cpp'
import { textOf, type CompletionRequest } from '../../protocol/completion.ts'
import { createStopMatcher, type StopMatcher } from './stop-matcher.ts'
import { createTokenDecoder, type TokenDecoder } from './text-decoder.ts'

export interface Resumed {
  readonly tokens: readonly Token[]
  readonly decoder: TokenDecoder<Token>
  readonly stops: StopMatcher
}

/** The part of the last message that is the answer so far; empty for an answer that begins here. */
export function begunText({ begun, messages }: Pick<CompletionRequest, 'begun' | 'messages'>): string {
  const last = messages.at(-1)
  return begun === undefined || last === undefined ? '' : textOf(last).slice(-begun.chars)
}

export function resume(model: Pick<LlamaModel, 'tokenize' | 'detokenize' | 'fileInfo'>, request: CompletionRequest, stopTexts: readonly string[]): Resumed {
  const fresh = (tokens: readonly Token[]): Resumed => ({
    tokens,
    decoder: createTokenDecoder<Token>((part, before) => model.detokenize(part, false, before)),
    stops: createStopMatcher(stopTexts),
  })
  const text = begunText(request)
  if (text === '') return fresh([])
  const ids = request.begun?.ids
  const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length
  if (ids !== undefined && ids.every((id) => id < vocabulary)) {
    const resumed = fresh(ids as Token[])
    let given = ''
    for (const id of resumed.tokens) {
      const { text: piece, stopped } = resumed.stops.push(resumed.decoder.push(id))
      if (stopped) break
      given += piece
    }
    if (given === text) return resumed
  }
  return fresh(model.tokenize(text, false, 'trimLeadingSpace'))
}
