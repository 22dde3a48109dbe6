/** One question, its streamed answer and the line that says how the answer came to be. */
import { formatCredits } from '../../protocol/units.ts'
import { streamChat, type ChatEvent, type ChatRequest } from '../chat-stream.ts'
import type { ApiClient } from '../api-client.ts'
import { createProgress } from '../progress.ts'
import { createClock } from '../system.ts'
import { printable, type Terminal } from '../terminal.ts'

/** The bridge's comment that only keeps the connection open. */
const KEEP_ALIVE = 'keep-alive'

export interface Answer {
  readonly text: string
  readonly end: Extract<ChatEvent, { type: 'end' }>
}

/** With `show` the text goes to stdout as it comes. While nothing comes, stderr says what is waited for. */
export async function ask(
  { client, terminal }: { readonly client: ApiClient; readonly terminal: Terminal },
  request: ChatRequest,
  options: { readonly signal: AbortSignal; readonly show: boolean },
): Promise<Answer> {
  const progress = createProgress({ terminal, clock: createClock() })
  let text = ''
  try {
    progress.waitFor(`waiting for ${request.model}`)
    for await (const event of streamChat(client, request, options)) {
      if (event.type === 'end') {
        if (options.show && !text.endsWith('\n')) await terminal.write('\n')
        return { text, end: event }
      }
      if (event.type === 'waiting') {
        // Once words have come, nothing more exact than "the next ones" is worth a flicker.
        if (text === '' && event.what !== '' && event.what !== KEEP_ALIVE) progress.waitFor(`${request.model}: ${printable(event.what)}`)
        continue
      }
      progress.clear()
      text += event.text
      if (options.show) await terminal.write(printable(event.text, { lines: true }))
      progress.waitFor('waiting for the next words')
    }
  } catch (error) {
    // The next line on the terminal is the error's own, not the end of half an answer.
    if (options.show && text !== '') await terminal.write('\n')
    throw error
  } finally {
    progress.clear()
  }
  throw new Error('the stream of a chat ended without an end event')
}

/** Which node served it, through which hub, tokens, credits, receipt id. */
export function servedLine({ end }: Answer): string {
  const parts: string[] = []
  const { served, usage } = end
  if (served !== undefined) parts.push(`${printable(served.hostName)} via ${printable(served.hub)}`)
  if (usage !== undefined) parts.push(`${usage.promptTokens}+${usage.completionTokens} tokens`)
  if (served !== undefined) {
    parts.push(`${formatCredits(served.costMicroCredits)} credits`, printable(served.receipt ?? 'no receipt'))
    if (served.durability === 'local') parts.push('on one hub only so far')
  }
  if (end.finish === 'length') parts.push('cut at the token limit')
  return parts.join(', ')
}
