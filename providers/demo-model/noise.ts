/**
 * Noise: makes a clean question look as people really type it.
 *
 * Takes: a question, its language, seeded chance.
 * Gives: the same question with openings and closings, other case, lost punctuation, lost words, typos.
 */
import type { DialogueMaterial, Language } from './corpus.ts'
import type { Random } from './random.ts'

/** Probabilities of each kind of noise; several may meet in one question. */
export const noiseShares = Object.freeze({
  none: 0.22,
  opening: 0.2,
  closing: 0.12,
  lowerCase: 0.35,
  upperCase: 0.09,
  titleCase: 0.02,
  noPunctuation: 0.4,
  otherPunctuation: 0.12,
  typos: 0.24,
  plainLetters: 0.12,
  lostWord: 0.08,
  space: 0.05,
})

/** Shorter questions keep their letters: a typo in "hub" leaves nothing to recognise. */
const typoLengthMin = 7
/** A word this short carries little meaning and may get lost. */
const lostWordLengthMax = 3

/** Neighbours on a keyboard, for slips of the finger. */
const neighbours: Readonly<Record<string, string>> = {
  a: 'sqw', b: 'vn', c: 'xv', d: 'sf', e: 'wr', f: 'dg', g: 'fh', h: 'gj', i: 'uo', j: 'hk', k: 'jl', l: 'kö', m: 'n', n: 'bm',
  o: 'ip', p: 'o', q: 'w', r: 'et', s: 'ad', t: 'rz', u: 'zi', v: 'cb', w: 'qe', x: 'yc', y: 'xt', z: 'tu',
}

export function addNoise (question: string, language: Language, material: DialogueMaterial, random: Random): string {
  if (random.chance(noiseShares.none)) return question
  let text = question
  if (random.chance(noiseShares.lostWord)) text = loseWord(text, random)
  const bare = text.replace(/[?.!]+$/, '')
  if (random.chance(noiseShares.noPunctuation)) text = bare
  else if (random.chance(noiseShares.otherPunctuation)) text = bare + random.pick(['??', '!', ' ?', '.', '?!', '...', '???', '!?', ' '])
  if (random.chance(noiseShares.opening)) {
    const opening = random.pick(material.openings[language])
    const first = text.charAt(0)
    text = opening + (random.chance(0.6) ? first.toLowerCase() : first) + text.slice(1)
  }
  if (random.chance(noiseShares.closing)) text += random.pick(material.closings[language])
  if (language === 'de' && random.chance(noiseShares.plainLetters)) text = plainLetters(text, random)
  if (text.length >= typoLengthMin && random.chance(noiseShares.typos)) {
    const typos = 1 + random.below(1 + Math.min(2, Math.floor(text.length / 16)))
    for (let i = 0; i < typos; i++) text = typo(text, random)
  }
  if (random.chance(noiseShares.lowerCase)) text = text.toLowerCase()
  else if (random.chance(noiseShares.upperCase)) text = text.toUpperCase()
  else if (random.chance(noiseShares.titleCase)) text = text.replace(/(^|\s)(\p{L})/gu, (found) => found.toUpperCase())
  if (random.chance(noiseShares.space)) text = random.pick([`${text} `, ` ${text}`, `${text}\n`, text.replace(' ', '  ')])
  return text.trim() === '' ? question : text
}

function loseWord (text: string, random: Random): string {
  const words = text.split(' ')
  const short = words.flatMap((word, i) => /^\p{L}+$/u.test(word) && word.length <= lostWordLengthMax ? [i] : [])
  if (words.length < 4 || short.length === 0) return text
  words.splice(random.pick(short), 1)
  return words.join(' ')
}

/** Umlauts as people write them on other keyboards. */
function plainLetters (text: string, random: Random): string {
  const table: Readonly<Record<string, string>> = random.chance(0.7)
    ? { ä: 'ae', ö: 'oe', ü: 'ue', ß: 'ss', Ä: 'Ae', Ö: 'Oe', Ü: 'Ue' }
    : { ä: 'a', ö: 'o', ü: 'u', ß: 's', Ä: 'A', Ö: 'O', Ü: 'U' }
  return text.replace(/[äöüßÄÖÜ]/g, (letter) => table[letter] ?? letter)
}

/** One slip: two letters swapped, one lost, doubled or replaced. Digits stay, for they carry the meaning. */
function typo (text: string, random: Random): string {
  const at = random.below(text.length - 1)
  const here = text.charAt(at)
  const next = text.charAt(at + 1)
  if (!/\p{L}/u.test(here) || !/\p{L}/u.test(next)) return text
  const before = text.slice(0, at)
  const after = text.slice(at + 1)
  switch (random.below(4)) {
    case 0: return before + next + here + text.slice(at + 2)
    case 1: return before + after
    case 2: return before + here + here + after
    default: {
      const options = neighbours[here.toLowerCase()]
      return before + (options === undefined ? here : options.charAt(random.below(options.length))) + after
    }
  }
}
