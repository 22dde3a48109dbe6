import { expect } from 'chai'
import { expand, languages, longIntent, normaliseQuestion, parseIntents, readCorpus, readDialogueMaterial, readHeldOut } from '../../../../providers/demo-model/corpus.ts'
import { createDialogueSource, datasetPhases, encodeDialogue, packSample } from '../../../../providers/demo-model/dataset.ts'
import { jsonAnswer } from '../../../../providers/demo-model/json-answer.ts'
import { createRandom } from '../../../../providers/demo-model/random.ts'
import { readmeQuestions } from '../../../../providers/demo-model/readme-questions.ts'
import { createTokenizer, trainVocabulary } from '../../../../providers/demo-model/tokenizer.ts'

const corpus = readCorpus()
const heldOut = readHeldOut()
const heldOutSet = new Set(heldOut.map(({ question }) => normaliseQuestion(question)))
const material = readDialogueMaterial()

describe('providers/demo-model/corpus', () => {
  it('expands alternatives, also nested and empty ones', () => {
    expect(expand('a {b|c{d|}} e')).to.deep.equal(['a b e', 'a cd e', 'a c e'])
    expect(() => expand('a {b')).to.throw('brace')
    expect(parseIntents('@who = {I|you}\n## x\n> y.\n@who ask {|now}?')).to.deep.equal([
      { id: 'x', answer: 'y.', wordings: [['I ask?', 'I ask now?', 'you ask?', 'you ask now?']] },
    ])
  })

  it('has the same intents in both languages, each with one answer of its own and questions', () => {
    const ids = corpus.intents.en.map(({ id }) => id)
    expect(new Set(ids).size).to.equal(ids.length)
    expect(corpus.intents.de.map(({ id }) => id)).to.deep.equal(ids)
    const answers = languages.flatMap((language) => corpus.intents[language].map(({ answer }) => answer))
    expect(new Set(answers).size).to.equal(answers.length)
    for (const language of languages) {
      for (const { id, answer, wordings } of corpus.intents[language]) {
        expect(answer, id).to.match(/[.!]$/)
        expect(wordings.flat().length, id).to.be.at.least(50)
      }
    }
  })

  it('asks no question in two intents or in two languages', () => {
    const owner = new Map<string, string>()
    const twice: string[] = []
    for (const language of languages) {
      for (const { id, wordings } of corpus.intents[language]) {
        const me = `${language} ${id}`
        for (const question of new Set(wordings.flat().map(normaliseQuestion))) {
          const other = owner.get(question) ?? me
          if (other !== me) twice.push(`${question}: ${other} and ${me}`)
          owner.set(question, me)
        }
      }
    }
    expect(twice).to.deep.equal([])
  })

  it('contains every README question, under the intent that must answer it', () => {
    for (const { question, language, intent } of readmeQuestions) {
      const found = corpus.intents[language].find(({ id }) => id === intent)
      expect(found?.wordings.flat(), question).to.include(question)
      expect(heldOutSet.has(normaliseQuestion(question)), question).to.equal(false)
    }
  })

  it('names only known intents in the held-out questions', () => {
    const ids = corpus.intents.en.map(({ id }) => id)
    expect(heldOut.length).to.be.at.least(100)
    for (const { intent } of heldOut) expect(ids).to.include(intent)
  })

  it('has a long answer in both languages, for tests that stream for a while', () => {
    for (const language of languages) {
      expect(corpus.intents[language].find(({ id }) => id === longIntent)?.answer.length).to.be.within(1_100, 1_500)
    }
  })
})

describe('providers/demo-model/dataset', () => {
  const tokenizer = createTokenizer(trainVocabulary([['What is a hub?', 1]], 300))

  it('gives the same dialogues for the same seed, and no held-out question', () => {
    const [one, two] = [5, 5].map((seed) => createDialogueSource(corpus, material, heldOutSet, createRandom(seed)))
    for (let i = 0; i < 200; i++) {
      const dialogue = one?.next()
      expect(dialogue).to.deep.equal(two?.next())
      for (const turn of dialogue?.turns ?? []) expect(heldOutSet.has(normaliseQuestion(turn.user)), turn.user).to.equal(false)
    }
  })

  it('scores the answer and its end, but no question and no opening brace', () => {
    const turn = { intent: 'hub', user: 'hub?', assistant: '{"answer": "A hub."}', json: true }
    const { tokens, scored } = encodeDialogue({ language: 'en', system: undefined, turns: [turn] }, tokenizer, { ...createRandom(1), chance: () => false })
    expect(tokenizer.decode(tokens.filter((_, i) => scored[i] === true))).to.equal('"answer": "A hub."}<|im_end|>')
    const packed = packSample({ tokens, scored })
    expect(packed.readUInt16LE(0)).to.equal(tokens.length)
    expect(packed.length % 2).to.equal(0)
  })

  it('does not score key names that a schema dictates', () => {
    const turn = { intent: 'hub', user: 'Größe?', assistant: '{"größe": 3, "foo_bar": "Öl.", "answer": "x"}', json: true }
    const { tokens, scored } = encodeDialogue({ language: 'de', system: undefined, turns: [turn] }, tokenizer, { ...createRandom(1), chance: () => false }, datasetPhases.questions)
    expect(tokenizer.decode(tokens.filter((_, i) => scored[i] === true))).to.equal('"": 3, "": "Öl.", "answer": "x"}<|im_end|>')
  })

  it('writes JSON answers that parse', () => {
    const random = createRandom(9)
    for (const language of languages) {
      for (const intent of corpus.intents[language]) {
        for (let i = 0; i < 10; i++) expect(JSON.parse(jsonAnswer(intent, language, random))).to.be.an('object')
      }
    }
  })
})
