/**
 * JSON answers: objects with a true sentence in them, for clients that ask for `response_format: json_schema`.
 *
 * Takes: an intent, its language, seeded chance.
 * Gives: one line of JSON text, spaced as `{"key": "value", "key": 1}`; the engine's grammar allows that spacing.
 */
import type { Intent, Language } from './corpus.ts'
import type { Random } from './random.ts'

const sentenceKeys = ['answer', 'answer', 'answer', 'answer', 'summary', 'text', 'description', 'explanation', 'response', 'message', 'result', 'content',
  'reason', 'definition', 'output', 'reply', 'antwort', 'info', 'detail', 'short_answer', 'zusammenfassung', 'value', 'statement', 'fact', 'quote']
const nameKeys = ['name', 'title', 'project', 'product', 'topic', 'subject', 'software', 'titel', 'thema', 'label', 'network', 'system']
const countKeys = ['count', 'score', 'rating', 'number', 'total', 'confidence', 'level', 'rank', 'id', 'version', 'amount', 'anzahl', 'priority', 'size', 'age']
const truthKeys = ['peer_to_peer', 'free', 'open_source', 'known', 'ok', 'correct', 'valid', 'success', 'is_free', 'relevant', 'local', 'encrypted', 'done', 'yes']
const listKeys = ['tags', 'keywords', 'topics', 'items', 'words', 'list', 'steps', 'parts', 'features', 'roles', 'names', 'stichworte', 'labels', 'points', 'members']
const groupKeys = ['result', 'data', 'item', 'entry', 'response', 'details', 'payload', 'node', 'project', 'meta']
const groupListKeys = ['results', 'items', 'entries', 'nodes', 'answers', 'facts', 'rows', 'questions']
const syllables = ['ka', 'to', 'mi', 're', 'lo', 'su', 'fi', 'an', 'el', 'op', 'user', 'foo', 'bar', 'my', 'node', 'out', 'ab', 'x', 'data', 'field', '_', 'key', 'val']

const listValues: Readonly<Record<Language, readonly string[]>> = {
  en: ['TriForce', 'hub', 'credits'],
  de: ['TriForce', 'Hub', 'Credits'],
}

/** The first sentence, so that a string value stays short. */
export function firstSentence (answer: string): string {
  const end = answer.search(/[.!?] (?=\p{Lu})/u)
  return end < 0 ? answer : answer.slice(0, end + 1)
}

/** A key name nobody has seen, so that the model does not depend on the names above. */
function inventedKey (random: Random): string {
  const parts = 1 + random.below(3)
  let key = ''
  for (let i = 0; i < parts; i++) key += random.pick(syllables)
  return key.replace(/^_+/, 'k_')
}

const key = (keys: readonly string[], random: Random): string => random.chance(0.2) ? inventedKey(random) : random.pick(keys)

function member (intent: Intent, language: Language, random: Random): readonly [string, unknown] {
  switch (random.below(8)) {
    case 0: return [key(nameKeys, random), 'TriForce']
    case 1: return random.chance(0.4) ? ['hubs', 3] : [key(countKeys, random), 1]
    case 2: return [key(truthKeys, random), true]
    case 3: return [key(listKeys, random), listValues[language]]
    case 4: return ['language', language === 'en' ? 'English' : 'Deutsch']
    default: return [key(sentenceKeys, random), firstSentence(intent.answer)]
  }
}

function members (intent: Intent, language: Language, count: number, random: Random): Record<string, unknown> {
  const entries: (readonly [string, unknown])[] = []
  for (let i = 0; i < count; i++) entries.push(member(intent, language, random))
  return Object.fromEntries(entries)
}

export function jsonAnswer (intent: Intent, language: Language, random: Random): string {
  const roll = random.next()
  if (roll < 0.3) return write({ [key(sentenceKeys, random)]: firstSentence(intent.answer) })
  if (roll < 0.38) return write({ [random.pick(groupKeys)]: members(intent, language, 1 + random.below(2), random) })
  if (roll < 0.46) {
    const list = Array.from({ length: 1 + random.below(2) }, () => members(intent, language, 1 + random.below(2), random))
    return write({ [random.pick(groupListKeys)]: list })
  }
  return write(members(intent, language, 1 + random.below(3), random))
}

/** JSON with one space after commas and colons. */
function write (value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(write).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${write(inner)}`).join(', ')}}`
  }
  return JSON.stringify(value)
}
