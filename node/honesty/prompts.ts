/**
 * Questions for checks, made of parts so that none is asked twice: names, places and numbers that nobody can have answered
 * before, in the form of an ordinary job. Pure but for the dice.
 */
import type { ChatMessage, CompletionRequest } from '../../protocol/completion.ts'
import type { Random } from '../../protocol/ports.ts'
import type { JobShape } from './shapes.ts'

const names = ['Mira', 'Jonas', 'Aylin', 'Tomasz', 'Leïla', 'Kwame', 'Ingrid', 'Ravi', 'Sofía', 'Noah', 'Hanako', 'Pavel', 'Zoë', 'Marek', 'Amara', 'Luca', 'Petra', 'Diego']
const places = ['Lübeck', 'Porto', 'Graz', 'Tartu', 'Leiden', 'Aarhus', 'Ghent', 'Kraków', 'Split', 'Bergen', 'Cork', 'Bologna', 'Uppsala', 'Basel', 'Tours', 'Vilnius']
const things = ['a heat pump', 'sourdough bread', 'a bicycle chain', 'the tides', 'compound interest', 'a hash table', 'photosynthesis', 'a sailing knot', 'the water cycle', 'a binary search',
  'inflation', 'a lease contract', 'a vaccine', 'the offside rule', 'a rainbow', 'an index fund', 'a TCP handshake', 'a glacier', 'a recipe for lentil soup', 'a job interview']
const readers = ['a ten-year-old', 'a new colleague', 'my grandmother', 'a sceptical friend', 'a class of students', 'somebody in a hurry', 'a customer', 'the local newspaper']

type Parts = Readonly<Record<'name' | 'other' | 'place' | 'thing' | 'reader' | 'number' | 'small' | 'year', string>>

const questions: readonly ((parts: Parts) => string)[] = [
  ({ thing, reader, name }) => `Explain ${thing} to ${reader}. Use ${name} as an example.`,
  ({ name, place, thing }) => `Write a short email from ${name} in ${place} who asks a neighbour about ${thing}.`,
  ({ name, other, place }) => `Tell a short story about ${name} and ${other}, who get lost in ${place}.`,
  ({ thing, small }) => `Give me ${small} facts about ${thing}, each in one sentence.`,
  ({ name, number, small }) => `${name} has ${number} euros and spends ${small} a day. How long does it last? Explain step by step.`,
  ({ place, name, small }) => `Plan ${small} days in ${place} for ${name}, who does not like museums.`,
  ({ thing, name, other }) => `Write a dialogue in which ${name} explains ${thing} to ${other}, and ${other} keeps doubting.`,
  ({ name, year, place }) => `Invent a biography of ${name}, born in ${place} in ${year}.`,
  ({ thing, reader }) => `What do people get wrong about ${thing}? Answer for ${reader}.`,
  ({ name, thing, place }) => `Summarise: "${name} moved to ${place} and wanted to learn about ${thing}, but nobody there had the time, and so a club was founded." What might happen next?`,
  ({ number, small, name }) => `Write a function that splits ${number} orders into batches of ${small} and gives each batch to a worker called ${name}. Explain it.`,
  ({ place, thing, year }) => `How might ${thing} have been seen in ${place} in the year ${year}?`,
]
const follows: readonly ((parts: Parts) => string)[] = [
  ({ name }) => `Thanks. Say the same again, but address ${name} directly.`,
  ({ reader }) => `Now make it fit ${reader}.`,
  ({ place }) => `And what would be different in ${place}?`,
  ({ small }) => `Can you put that into ${small} points?`,
]
const systems: readonly string[] = [
  'You are a helpful assistant.', 'You are a helpful assistant. Answer briefly.', 'You are a friendly expert who writes plain English.', 'Answer in English. Be exact.',
]

export function probeRequest(model: string, { system, turns, maxTokens, temperature, topP }: JobShape, random: Random): CompletionRequest {
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random.unit() * items.length)]!
  const number = (min: number, max: number) => String(min + Math.floor(random.unit() * (max - min + 1)))
  const parts: Parts = {
    name: pick(names), other: pick(names), place: pick(places), thing: pick(things), reader: pick(readers), number: number(120, 99_999), small: number(3, 9), year: number(1_650, 1_990),
  }
  const messages: ChatMessage[] = system ? [{ role: 'system', content: pick(systems) }] : []
  for (let turn = 0; turn < turns; turn += 2) {
    messages.push({ role: 'user', content: turn === 0 ? pick(questions)(parts) : pick(follows)(parts) })
    if (turn + 2 <= turns) messages.push({ role: 'assistant', content: `${parts.name} in ${parts.place} would say: it depends on ${parts.thing}, and on ${number(2, 99)} other things.` })
  }
  const isGreedy = temperature === 0 || random.unit() < GREEDY_PART
  return {
    model, messages, continueLast: false, stop: [], responseFormat: { type: 'text' },
    ...(maxTokens === undefined ? { maxTokens: DEFAULT_TOKENS } : { maxTokens: Math.min(Math.max(maxTokens, TOKENS_MIN), TOKENS_MAX) }),
    temperature: isGreedy ? 0 : temperature ?? 1, ...(topP === undefined ? {} : { topP }),
    ...(isGreedy ? {} : { seed: Math.floor(random.unit() * 0x1_0000_0000) }),
  }
}

/** At least so many can be compared word by word, whatever ordinary jobs ask for. */
const GREEDY_PART = 0.6
/** Enough to time and to compare, and not more work than that. */
const TOKENS_MIN = 64
const TOKENS_MAX = 256
const DEFAULT_TOKENS = 192

/** Whether two hosts must answer it alike. */
export function isComparable({ temperature, tools, logprobs, messages, maxTokens, topK }: CompletionRequest): boolean {
  return (temperature === 0 || topK === 1) && tools === undefined && logprobs === undefined && (maxTokens === undefined || maxTokens >= 16)
    && messages.every(({ content }) => typeof content === 'string')
}
