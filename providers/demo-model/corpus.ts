/**
 * The corpus: our own questions and answers about TriForce, in English and German.
 *
 * Takes:     the text files in corpus/.
 * Gives:     intents with one answer and all their question wordings, the dialogue material, the held-out questions.
 * Format:    `## id` opens an intent, `> ` is its answer, any other line is a question pattern; `{a|b}` are
 *            alternatives (they may be nested), `@name` stands for a macro line `@name = pattern`, `#` is a comment.
 */
import { readFileSync } from 'node:fs'

export type Language = 'en' | 'de'
export const languages: readonly Language[] = ['en', 'de']

/** The intent for everything the model does not know. */
export const fallbackIntent = 'fallback'
/** The intent with the long answer. */
export const longIntent = 'explain-in-detail'

export interface Intent {
  readonly id: string
  readonly answer: string
  /** One list per pattern line, with every wording that the line stands for. */
  readonly wordings: readonly (readonly string[])[]
}

export interface Corpus { readonly intents: Readonly<Record<Language, readonly Intent[]>> }
export interface HeldOutQuestion { readonly language: Language, readonly intent: string, readonly question: string }
export interface DialogueMaterial {
  readonly systems: readonly string[]
  readonly jsonSystems: readonly string[]
  readonly openings: Readonly<Record<Language, readonly string[]>>
  readonly closings: Readonly<Record<Language, readonly string[]>>
}

function readText (name: string): string {
  return readFileSync(new URL(`./corpus/${name}`, import.meta.url), 'utf8')
}

/** Expands alternatives; `What is {a|the} hub?` becomes two questions. */
export function expand (pattern: string): string[] {
  const open = pattern.indexOf('{')
  if (open < 0) return [pattern]
  let depth = 0
  let optionStart = open + 1
  const options: string[] = []
  let close = -1
  for (let i = open; i < pattern.length; i++) {
    const character = pattern[i]
    if (character === '{') depth++
    if ((character === '|' && depth === 1) || (character === '}' && depth === 1)) {
      options.push(pattern.slice(optionStart, i))
      optionStart = i + 1
    }
    if (character === '}' && --depth === 0) { close = i; break }
  }
  if (close < 0) throw new Error(`brace without an end: ${pattern}`)
  const before = pattern.slice(0, open)
  const heads = options.flatMap(expand)
  const tails = expand(pattern.slice(close + 1))
  return heads.flatMap((head) => tails.map((tail) => before + head + tail))
}

/** Two wordings that differ only in case, spaces or punctuation are the same question. */
export function normaliseQuestion (question: string): string {
  const bare = question.toLowerCase().replace(/[^\p{L}\p{N}+*/%^]+/gu, ' ').trim()
  return bare === '' ? question.trim() : bare
}

export function parseIntents (text: string): Intent[] {
  const macros = new Map<string, string>()
  const intents: { id: string, answer: string, wordings: string[][] }[] = []
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    const macro = /^@(\p{L}+) = (.+)$/u.exec(line)
    if (line === '' || line.startsWith('# ')) continue
    if (macro) { macros.set(macro[1] ?? '', macro[2] ?? ''); continue }
    if (line.startsWith('## ')) { intents.push({ id: line.slice(3), answer: '', wordings: [] }); continue }
    const intent = intents.at(-1)
    if (intent === undefined) throw new Error(`text before the first intent: ${line}`)
    if (line.startsWith('> ')) { intent.answer = line.slice(2); continue }
    const pattern = line.replace(/@(\p{L}+)/gu, (_, name: string) => macros.get(name) ?? `@${name}`)
    intent.wordings.push([...new Set(expand(pattern).map(tidy))])
  }
  return intents
}

/** Empty alternatives leave spaces behind. */
function tidy (question: string): string {
  return question.replace(/\s+/g, ' ').replace(/ ([?.!,])/g, '$1').trim()
}

export function readCorpus (): Corpus {
  return { intents: { en: parseIntents(readText('en.txt')), de: parseIntents(readText('de.txt')) } }
}

export function readHeldOut (): HeldOutQuestion[] {
  return readText('held-out.txt').split('\n').flatMap((line) => {
    const found = /^(en|de) (\S+) \| (.+)$/.exec(line)
    return found ? [{ language: found[1] as Language, intent: found[2] ?? '', question: found[3] ?? '' }] : []
  })
}

/** Reads dialogue.txt: `kind | text` a line, with `_` for a space at either end of the text. */
export function readDialogueMaterial (): DialogueMaterial {
  const lists = new Map<string, string[]>()
  for (const line of readText('dialogue.txt').split('\n')) {
    const found = /^([a-z-]+) \| (.+)$/.exec(line)
    if (!found) continue
    const kind = found[1] ?? ''
    lists.set(kind, [...(lists.get(kind) ?? []), (found[2] ?? '').replace(/^_|_$/g, ' ')])
  }
  const list = (kind: string): readonly string[] => lists.get(kind) ?? []
  return {
    systems: list('system'),
    jsonSystems: list('json-system'),
    openings: { en: list('opening-en'), de: list('opening-de') },
    closings: { en: list('closing-en'), de: list('closing-de') },
  }
}
