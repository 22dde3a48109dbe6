/**
 * Tokens to text, piece by piece. A character may span several tokens (llama.cpp then shows U+FFFD at the end), and
 * some tokenizers add a space that depends on what stood before, so the last tokens are kept as context.
 */

/** Turns tokens into text, given the tokens before them. */
export type Detokenize<Token> = (tokens: readonly Token[], before: readonly Token[]) => string

export interface TokenDecoder<Token> {
  /** The text this token completes; empty while a character is not whole. */
  push(token: Token): string
  /** What is left at the end of the answer, whole or not. */
  rest(): string
}

// node-llama-cpp itself looks at the last 3 tokens.
const BEFORE_TOKENS = 3

// A character has at most 4 bytes, so at most 4 byte tokens; what is longer is no text and is given out as it is.
const PENDING_TOKENS_MAX = 8

const REPLACEMENT = '\uFFFD'

export function createTokenDecoder<Token>(detokenize: Detokenize<Token>): TokenDecoder<Token> {
  let before: Token[] = []
  let pending: Token[] = []

  return {
    push(token) {
      pending.push(token)
      const text = detokenize(pending, before)
      if (text.endsWith(REPLACEMENT) && pending.length < PENDING_TOKENS_MAX) return ''
      forget()
      return text
    },
    rest() {
      if (pending.length === 0) return ''
      const text = detokenize(pending, before)
      forget()
      return text
    },
  }

  function forget(): void {
    before = [...before, ...pending].slice(-BEFORE_TOKENS)
    pending = []
  }
}
