/** A streaming chat client that keeps what it saw: text, error event, receipt, and whether the end was seen. */
export interface ChatSeen {
  readonly status: number
  readonly text: string
  readonly tokens: number | undefined
  readonly finish: string | undefined
  readonly receipt: string | undefined
  readonly host: string | undefined
  readonly error: string | undefined
  readonly promptTokens: number | undefined
  /** Hosts that broke off before, where the answer went on at another. */
  readonly parts: readonly { readonly host: string; readonly receipt: string | null; readonly completion_tokens: number }[] | undefined
  /** `data: [DONE]` was read. */
  readonly done: boolean
}

export interface ChatAsk {
  readonly api: string
  readonly apiKey: string
  readonly model: string
  readonly content: string
  readonly extra?: Readonly<Record<string, unknown>>
  readonly signal?: AbortSignal
  readonly onHead?: (headers: Headers) => void
  readonly onText?: (text: string) => void
}

interface Chunk {
  readonly choices?: readonly { delta?: { content?: string }; finish_reason?: string | null }[]
  readonly usage?: { completion_tokens: number; prompt_tokens: number } | null
  readonly triforce?: { receipt: string; host: string; continued_from?: NonNullable<ChatSeen['parts']> }
  readonly error?: { message: string }
}

/** Never throws for what the server does; a connection that breaks is an answer without `done`. */
export async function chat(ask: ChatAsk): Promise<ChatSeen> {
  const seen = { status: 0, text: '', tokens: undefined as number | undefined, finish: undefined as string | undefined,
    receipt: undefined as string | undefined, host: undefined as string | undefined, error: undefined as string | undefined,
    promptTokens: undefined as number | undefined, parts: undefined as ChatSeen['parts'], done: false }
  try {
    const response = await fetch(`${ask.api}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${ask.apiKey}` },
      body: JSON.stringify({
        model: ask.model, stream: true, temperature: 0, stream_options: { include_usage: true },
        messages: [{ role: 'user', content: ask.content }], ...ask.extra,
      }),
      ...(ask.signal === undefined ? {} : { signal: ask.signal }),
    })
    seen.status = response.status
    ask.onHead?.(response.headers)
    if (response.status !== 200) {
      seen.error = await response.text()
      return seen
    }
    let rest = ''
    const decoder = new TextDecoder()
    for await (const bytes of response.body!) {
      rest += decoder.decode(bytes, { stream: true })
      const events = rest.split('\n\n')
      rest = events.pop()!
      for (const event of events) {
        if (event === 'data: [DONE]') seen.done = true
        else if (event.startsWith('data: ')) take(JSON.parse(event.slice(6)) as Chunk)
      }
    }
  } catch (error) {
    seen.error ??= String(error)
  }
  return seen

  function take(chunk: Chunk): void {
    const choice = chunk.choices?.[0]
    const text = choice?.delta?.content ?? ''
    seen.text += text
    if (text !== '') ask.onText?.(text)
    if (typeof choice?.finish_reason === 'string') seen.finish = choice.finish_reason
    if (chunk.usage) {
      seen.tokens = chunk.usage.completion_tokens
      seen.promptTokens = chunk.usage.prompt_tokens
    }
    if (chunk.triforce !== undefined) {
      seen.receipt = chunk.triforce.receipt
      seen.host = chunk.triforce.host
      seen.parts = chunk.triforce.continued_from
    }
    if (chunk.error !== undefined) seen.error = chunk.error.message
  }
}

export async function getJson(api: string, apiKey: string, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(api + path, { headers: { authorization: `Bearer ${apiKey}` } })
  return { status: response.status, text: await response.text() }
}
