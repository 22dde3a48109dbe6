/**
 * Schemas that evaluate.ts forces on the model, each with a question and a check of the result.
 *
 * Gives: cases in the shape that node-llama-cpp's createGrammarForJsonSchema() takes.
 */
import { firstSentence } from './json-answer.ts'
import type { GbnfJsonSchema } from 'node-llama-cpp'

export interface JsonCase {
  readonly question: string
  readonly system?: string
  readonly schema: GbnfJsonSchema
  readonly check: (value: unknown, answers: ReadonlySet<string>) => boolean
}

/** A string counts as true if it is the first sentence of one of our answers. */
function isSentence (text: unknown, answers: ReadonlySet<string>): boolean {
  for (const answer of answers) if (text === answer || text === firstSentence(answer)) return true
  return false
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : {}

const text = { type: 'string' } as const
const oneSentence = (key: string): Pick<JsonCase, 'schema' | 'check'> => ({
  schema: { type: 'object', properties: { [key]: text }, required: [key] },
  check: (value, answers) => isSentence(record(value)[key], answers),
})

export const jsonCases: readonly JsonCase[] = [
  { question: 'What is TriForce?', ...oneSentence('answer') },
  { question: 'How do I earn credits?', ...oneSentence('answer') },
  { question: 'Was ist ein Hub?', ...oneSentence('answer') },
  { question: 'What does it cost?', system: 'Answer in JSON.', ...oneSentence('summary') },
  { question: 'How do I stop it?', system: 'You are a helpful assistant.', ...oneSentence('text') },
  { question: 'What is a receipt?', ...oneSentence('unusual_key_name') },
  {
    question: 'What is TriForce?',
    schema: { type: 'object', properties: { name: text, hubs: { type: 'integer' }, peer_to_peer: { type: 'boolean' } } },
    check: (value) => {
      const { name, hubs, peer_to_peer: truth } = record(value)
      return name === 'TriForce' && hubs === 3 && truth === true
    },
  },
  {
    question: 'Describe TriForce as JSON',
    schema: { type: 'object', properties: { title: text, tags: { type: 'array', items: text } } },
    check: (value) => {
      const { title, tags } = record(value)
      return title === 'TriForce' && Array.isArray(tags) && tags.length > 0 && tags.length < 10 && tags.every((tag) => typeof tag === 'string' && tag !== '')
    },
  },
  {
    question: 'How do I lend my GPU?',
    schema: { type: 'object', properties: { result: { type: 'object', properties: { answer: text, score: { type: 'integer' } } } } },
    check: (value, answers) => {
      const { answer, score } = record(record(value)['result'])
      return isSentence(answer, answers) && Number.isInteger(score)
    },
  },
  {
    question: 'What is a contributor?',
    schema: { type: 'object', properties: { items: { type: 'array', items: { type: 'object', properties: { name: text, description: text } } } } },
    check: (value, answers) => {
      const { items } = record(value)
      return Array.isArray(items) && items.length > 0 && items.length < 6 && items.every((item) => isSentence(record(item)['description'], answers))
    },
  },
  {
    question: 'Is TriForce free?',
    schema: { type: 'object', properties: { free: { type: 'boolean' }, reason: text } },
    check: (value, answers) => record(value)['free'] === true && isSentence(record(value)['reason'], answers),
  },
  {
    question: 'Was ist TriForce?',
    schema: { type: 'object', properties: { name: text, summary: text, language: text } },
    check: (value, answers) => {
      const { name, summary, language } = record(value)
      return name === 'TriForce' && isSentence(summary, answers) && language === 'Deutsch'
    },
  },
  {
    question: 'Which mode is right for lending a GPU?',
    schema: { type: 'object', properties: { mode: { enum: ['hub', 'contributor', 'consumer', 'hybrid'] } } },
    check: (value) => ['hub', 'contributor', 'consumer', 'hybrid'].includes(String(record(value)['mode'])),
  },
  {
    question: 'How many hubs are there?',
    schema: { type: 'object', properties: { count: { type: 'number' } } },
    check: (value) => Number.isFinite(record(value)['count']),
  },
]
