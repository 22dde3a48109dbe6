/** Answers that a machine gave before, as hashes: the same long text to another question was not computed. */
import { hash } from 'node:crypto'
import type { ChatMessage } from '../../protocol/completion.ts'

export interface Replays {
  /** Whether the machine has given this text to another question; unknown of a short one. Notes it. */
  look(contributor: string, messages: readonly ChatMessage[], text: string): 'replayed' | 'new' | 'unknown'
}

const MACHINES_MAX = 4_096
const ANSWERS_MAX = 64
/** Short answers are alike by nature. */
const CHARS_MIN = 120

export function createReplays(): Replays {
  const machines = new Map<string, { readonly question: string; readonly text: string }[]>()

  return {
    look(contributor, messages, text) {
      if (text.length < CHARS_MIN) return 'unknown'
      const answer = { question: hash('sha256', JSON.stringify(messages), 'base64'), text: hash('sha256', text, 'base64') }
      const known = machines.get(contributor) ?? []
      const replayed = known.some((one) => one.text === answer.text && one.question !== answer.question)
      known.push(answer)
      if (known.length > ANSWERS_MAX) known.shift()
      machines.delete(contributor)
      if (machines.size >= MACHINES_MAX) machines.delete(machines.keys().next().value!)
      machines.set(contributor, known)
      return replayed ? 'replayed' : 'new'
    },
  }
}
