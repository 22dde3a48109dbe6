/** What a played vendor answers, before it is put into a wire format, and what it bills for it. */

export interface PlayedToolCall {
  readonly id: string
  readonly name: string
  /** Pieces of JSON text. */
  readonly arguments: readonly string[]
}

export interface PlayedAnswer {
  readonly reasoning?: readonly string[]
  readonly text?: readonly string[]
  readonly toolCalls?: readonly PlayedToolCall[]
  /** In OpenAI's words; each vendor says it in its own. */
  readonly finish: 'stop' | 'length' | 'tool_calls' | 'content_filter'
  readonly usage: PlayedUsage
}

export interface PlayedUsage {
  readonly prompt: number
  /** Reasoning included. */
  readonly completion: number
  /** Of the prompt. */
  readonly cached?: number
  readonly reasoning?: number
}

/** One line of a vendor's own bill. */
export interface Bill {
  readonly model: string
  readonly promptTokens: number
  readonly completionTokens: number
  readonly aborted: boolean
}

export interface PlayedBehaviour {
  /** Pieces of an answer that the request does not bound; each is one token of four bytes. */
  words: number
  /** Between two pieces. */
  gapMs: number
}

/** Four bytes, so that the estimate of protocol/token-estimate.ts counts each as one token. */
export function wordAt(index: number): string {
  return `${String(index % 1_000).padStart(3, '0')} `
}

export function wordsAnswer(words: number, prompt: number): PlayedAnswer {
  return { text: Array.from({ length: words }, (_, index) => wordAt(index)), finish: 'stop', usage: { prompt, completion: words } }
}

/** Four bytes a token and four tokens a message, as protocol/token-estimate.ts documents; for texts only. */
export function countedPrompt(messages: readonly unknown[]): number {
  return messages.reduce<number>((sum, message) => {
    const { content } = message as { content: string | null | readonly { readonly text?: string }[] }
    const texts = typeof content === 'string' ? [content] : (content ?? []).flatMap(({ text }) => text ?? [])
    return sum + 4 + texts.reduce((inner, text) => inner + Math.ceil(Buffer.byteLength(text) / 4), 0)
  }, 0)
}
