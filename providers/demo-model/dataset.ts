/**
 * The training data: dialogues made from the corpus, with the noise of real life, as tokens and a loss mask.
 *
 * Takes:     the corpus, dialogue material, a tokenizer, a seed.
 * Gives:     `Dialogue`s (for evaluation, as text) and encoded samples (for train.cpp, as bytes).
 * Invariant: held-out questions never enter, in any spelling that normaliseQuestion() makes equal.
 */
import { addNoise } from './noise.ts'
import { jsonAnswer } from './json-answer.ts'
import { specialTokens } from './tokenizer.ts'
import { fallbackIntent, longIntent, normaliseQuestion } from './corpus.ts'
import type { Corpus, DialogueMaterial, Intent, Language } from './corpus.ts'
import type { Random } from './random.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface Turn { readonly intent: string, readonly user: string, readonly assistant: string, readonly json: boolean }
export interface Dialogue { readonly language: Language, readonly system: string | undefined, readonly turns: readonly Turn[] }
export interface Sample { readonly tokens: readonly number[], readonly scored: readonly boolean[] }

/** How often each thing happens in one phase of the training. Tuned by hand against the tables in README.md. */
export interface DatasetShares {
  readonly english: number
  readonly json: number
  readonly long: number
  readonly fallback: number
  /** Small talk has few wordings, so it needs fewer samples than the other intents. */
  readonly smallTalkKept: number
  /** A second, third, fourth turn, each given the one before. */
  readonly moreTurns: readonly number[]
  readonly system: number
  readonly languageSwitch: number
  /** Questions left without any noise, beyond those that noise.ts leaves alone. */
  readonly clean: number
  /** Questions tokenized loosely, and the share of merges left out in them. */
  readonly loose: number
  readonly looseDrop: number
  /** Answers that begin as given text, cut anywhere, and are continued. */
  readonly cutAnswer: number
  /** Last answers of which only the beginning is kept. */
  readonly beginningOnly: number
  /** Whether key names that a schema dictates are learned. */
  readonly scoreDictatedKeys: boolean
}

/** Phase 1 teaches the answers themselves, phase 2 which question wants which answer, phase 3 refreshes the JSON objects. */
export const datasetPhases = Object.freeze({
  answers: {
    english: 0.53, json: 0.09, long: 0.03, fallback: 0.075, smallTalkKept: 0.6, moreTurns: [0.3, 0.12, 0.07], system: 0.35,
    languageSwitch: 0.06, clean: 0, loose: 0.25, looseDrop: 0.12, cutAnswer: 0.06, beginningOnly: 0, scoreDictatedKeys: true,
  },
  questions: {
    english: 0.52, json: 0.05, long: 0.02, fallback: 0.1, smallTalkKept: 0.6, moreTurns: [0.16, 0.3, 0.3], system: 0.3,
    languageSwitch: 0.06, clean: 0.2, loose: 0.15, looseDrop: 0.1, cutAnswer: 0.1, beginningOnly: 0.75, scoreDictatedKeys: false,
  },
  objects: {
    english: 0.52, json: 0.35, long: 0.02, fallback: 0.08, smallTalkKept: 0.6, moreTurns: [0.1, 0.3, 0.3], system: 0.3,
    languageSwitch: 0.06, clean: 0.2, loose: 0.1, looseDrop: 0.1, cutAnswer: 0.1, beginningOnly: 0.75, scoreDictatedKeys: true,
  },
}) satisfies Readonly<Record<string, DatasetShares>>

/** Two answers differ within this many tokens; what follows is only recited, so most samples of phase 2 do without. */
const beginningTokens = 16

/** Longest sample; the long answer with a short history fits well, and the context holds 1,024. */
export const sampleTokensMax = 800

const smallTalk: readonly string[] = ['greeting', 'thanks', 'goodbye', 'help']

export interface DialogueSource { next (): Dialogue }

export function createDialogueSource (corpus: Corpus, material: DialogueMaterial, heldOut: ReadonlySet<string>, random: Random,
  shares: DatasetShares = datasetPhases.answers): DialogueSource {
  const intents: Record<Language, Intent[]> = { en: [], de: [] }
  for (const language of ['en', 'de'] as const) {
    intents[language] = corpus.intents[language].map((intent) => ({
      ...intent,
      wordings: intent.wordings.map((line) => line.filter((question) => !heldOut.has(normaliseQuestion(question))))
        .filter((line) => line.length > 0),
    }))
  }

  function chooseIntent (language: Language): Intent {
    const list = intents[language]
    const roll = random.next()
    const wanted = roll < shares.long ? longIntent : roll < shares.long + shares.fallback ? fallbackIntent : ''
    for (;;) {
      const intent = random.pick(list)
      if (wanted !== '') {
        if (intent.id === wanted) return intent
        continue
      }
      if (intent.id === longIntent || (smallTalk.includes(intent.id) && !random.chance(shares.smallTalkKept))) continue
      return intent
    }
  }

  function turn (language: Language, json: boolean): Turn {
    const intent = chooseIntent(language)
    const question = random.pick(random.pick(intent.wordings))
    const user = shares.clean > 0 && random.chance(shares.clean) ? question : addNoise(question, language, material, random)
    const useJson = json && intent.id !== longIntent
    const assistant = useJson ? jsonAnswer(intent, language, random) : intent.answer
    return { intent: intent.id, user, assistant, json: useJson }
  }

  return {
    next: () => {
      let language: Language = random.chance(shares.english) ? 'en' : 'de'
      const json = random.chance(shares.json)
      const first = language
      const turns = [turn(language, json)]
      for (const share of shares.moreTurns) {
        if (!random.chance(share)) break
        if (random.chance(shares.languageSwitch)) language = language === 'en' ? 'de' : 'en'
        turns.push(turn(language, json && random.chance(0.5)))
      }
      const systems = json && random.chance(0.5) ? material.jsonSystems : material.systems
      return { language: first, system: random.chance(shares.system) ? random.pick(systems) : undefined, turns }
    },
  }
}

/**
 * ChatML exactly as node-llama-cpp's ChatML wrapper writes it, so that training and use see the same tokens.
 * Scored are the assistant's tokens and its end mark. As the opening brace of a JSON answer is not scored, the model
 * never learns to start JSON by itself, but goes on well once a grammar has forced the brace.
 */
export function encodeDialogue (dialogue: Dialogue, tokenizer: Tokenizer, random: Random, shares: DatasetShares = datasetPhases.answers): Sample {
  const tokens: number[] = []
  const scored: boolean[] = []
  const put = (ids: readonly number[], score: boolean): void => {
    for (const id of ids) { tokens.push(id); scored.push(score) }
  }
  const open = (role: string): void => { put([specialTokens.start, ...tokenizer.encode(`${role}\n`)], false) }
  const newLine = tokenizer.encode('\n')
  const loosely = (text: string): number[] =>
    random.chance(shares.loose) ? tokenizer.encodeLoosely(text, random, shares.looseDrop) : tokenizer.encode(text)

  put([specialTokens.endOfText], false)
  if (dialogue.system !== undefined) {
    open('system')
    put([...tokenizer.encode(dialogue.system), specialTokens.end, ...newLine], false)
  }
  const last = dialogue.turns.at(-1)
  let end = sampleTokensMax
  for (const turn of dialogue.turns) {
    open('user')
    put([...loosely(turn.user), specialTokens.end, ...newLine], false)
    open('assistant')
    let answerStart = tokens.length
    if (turn.json) {
      const ids = tokenizer.encode(turn.assistant)
      const free = jsonScored(turn.assistant, ids, tokenizer, shares.scoreDictatedKeys)
      ids.forEach((id, i) => put([id], free[i] ?? false))
    } else if (random.chance(shares.cutAnswer)) {
      // A half answer may be cut inside a token; the tokens before such a cut differ from the usual ones.
      const cut = 1 + random.below(turn.assistant.length - 1)
      put(tokenizer.encode(turn.assistant.slice(0, cut)), false)
      answerStart = tokens.length
      put(tokenizer.encode(turn.assistant.slice(cut)), true)
    } else put(tokenizer.encode(turn.assistant), true)
    put([specialTokens.end], true)
    put(newLine, false)
    if (turn === last && !turn.json && shares.beginningOnly > 0 && random.chance(shares.beginningOnly)) end = Math.min(end, answerStart + beginningTokens)
  }
  return { tokens: tokens.slice(0, end), scored: scored.slice(0, end) }
}

/** Key names that the model may choose by itself when a grammar leaves the choice. */
const ownKeys: readonly string[] = ['answer']

/**
 * Which tokens of a JSON answer are scored: not the opening brace, and not the key names, which a schema dictates and
 * nobody can guess. Only the model's own key is learned.
 */
function jsonScored (text: string, ids: readonly number[], tokenizer: Tokenizer, scoreDictated: boolean): boolean[] {
  const dictated: (readonly [from: number, to: number])[] = [[0, 1]]
  for (const found of text.matchAll(/"([^"]+)": /g)) {
    const key = found[1] ?? ''
    const from = Buffer.byteLength(text.slice(0, found.index + 1))
    if (!scoreDictated && !ownKeys.includes(key)) dictated.push([from, from + Buffer.byteLength(key)])
  }
  let at = 0
  return ids.map((id) => {
    const start = at
    at += tokenizer.bytesOf(id)
    return !dictated.some(([from, to]) => start >= from && start < to)
  })
}

/** The layout that train.cpp reads: u16 count, tokens as u16, mask as u8, padded to two bytes. */
export function packSample ({ tokens, scored }: Sample): Buffer {
  const count = tokens.length
  const part = Buffer.alloc(2 + 3 * count + (count & 1))
  part.writeUInt16LE(count, 0)
  tokens.forEach((token, i) => part.writeUInt16LE(token, 2 + 2 * i))
  scored.forEach((score, i) => part.writeUInt8(score ? 1 : 0, 2 + 2 * count + i))
  return part
}
