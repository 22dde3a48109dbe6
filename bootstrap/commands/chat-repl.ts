/** A conversation on a terminal. Ctrl-C stops an answer; at the prompt, twice leaves. Nothing is written to disk. */
import { createInterface } from 'node:readline/promises'
import type { ChatMessage } from '../../protocol/completion.ts'
import { MESSAGES_MAX, PROMPT_CHARS_MAX } from '../../protocol/limits.ts'
import type { ApiClient } from '../api-client.ts'
import type { ChatRequest } from '../chat-stream.ts'
import { describeError } from '../command-error.ts'
import type { Terminal } from '../terminal.ts'
import { ask, servedLine } from './chat-answer.ts'

const HISTORY_LINES_MAX = 500
const LEAVE_WORDS = new Set(['/exit', '/quit', '/bye'])

export async function converse(parts: { readonly client: ApiClient; readonly terminal: Terminal }, request: ChatRequest): Promise<void> {
  const { terminal } = parts
  const lines = createInterface({ input: process.stdin, output: process.stderr, historySize: HISTORY_LINES_MAX, prompt: '> ' })
  const left = new AbortController()
  let running: AbortController | undefined
  let warned = false
  lines.on('SIGINT', () => {
    if (running !== undefined) return running.abort()
    if (warned) return left.abort()
    warned = true
    terminal.note('\n(Ctrl-C once more leaves; Ctrl-D too)')
    lines.prompt(true)
  })
  lines.once('close', () => left.abort())
  terminal.note(terminal.style('dim', `${request.model}; /new begins a new conversation, /exit leaves`, 'stderr'))

  const opening = request.messages
  let messages: readonly ChatMessage[] = opening
  while (!left.signal.aborted) {
    const question = (await lines.question('> ', { signal: left.signal }).catch(() => '/exit')).trim()
    warned = false
    if (LEAVE_WORDS.has(question)) break
    if (question === '/new') messages = opening
    if (question === '' || question === '/new') continue
    const asked = withinLimits([...messages, { role: 'user', content: question }], opening.length)
    running = new AbortController()
    try {
      const answer = await ask(parts, { ...request, messages: asked }, { signal: running.signal, show: true })
      terminal.note(terminal.style('dim', servedLine(answer), 'stderr'))
      messages = [...asked, { role: 'assistant', content: answer.text }]
    } catch (error) {
      terminal.note(running.signal.aborted ? '(stopped)' : describeError(error).sentence)
    } finally {
      running = undefined
    }
  }
  lines.close()
}

/** Drops the oldest questions and answers until the rest may be sent; the opening and the newest question stay. */
function withinLimits(messages: readonly ChatMessage[], opening: number): readonly ChatMessage[] {
  let kept = messages
  const tooMuch = (): boolean => kept.length > MESSAGES_MAX || kept.reduce((sum, message) => sum + message.content.length, 0) > PROMPT_CHARS_MAX
  while (kept.length > opening + 2 && tooMuch()) kept = kept.toSpliced(opening, 2)
  return kept
}
