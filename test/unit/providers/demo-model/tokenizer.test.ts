import { expect } from 'chai'
import { createRandom } from '../../../../providers/demo-model/random.ts'
import { createTokenizer, specialTexts, trainVocabulary } from '../../../../providers/demo-model/tokenizer.ts'

const vocabularySize = 320
const lessons: [string, number][] = [['What is a hub? A hub is one of the three master nodes.', 5], ['Wie verdiene ich Credits über meine GPU?', 5], ['{"answer": "A hub"}', 50]]
const samples = [
  'What is a hub?', '  two  spaces\n\nand lines \n', 'Übergrößenträger, ß und 5 €', "it's we're I'd", '{"a": [1, 2, true]}', '12.345,67', '日本語 🙂', '', ' ',
]

describe('providers/demo-model/tokenizer', () => {
  const tokenizer = createTokenizer(trainVocabulary(lessons, vocabularySize))

  it('decodes what it encoded, for every byte and any text', () => {
    const everything = Array.from({ length: 0x250 }, (_, code) => String.fromCharCode(code)).join('')
    for (const text of [...samples, everything]) expect(tokenizer.decode(tokenizer.encode(text))).to.equal(text)
  })

  it('decodes loosely encoded text too, and splits it into no fewer tokens', () => {
    const random = createRandom(3)
    for (const text of samples) {
      const loose = tokenizer.encodeLoosely(text, random, 0.5)
      expect(tokenizer.decode(loose)).to.equal(text)
      expect(loose.length).to.be.at.least(tokenizer.encode(text).length)
    }
  })

  it('fills the vocabulary to the wanted size with control tokens first', () => {
    expect(tokenizer.vocabulary.tokens).to.have.length(vocabularySize)
    expect(tokenizer.vocabulary.tokens.slice(0, specialTexts.length)).to.deep.equal([...specialTexts])
    expect(new Set(tokenizer.vocabulary.tokens).size).to.equal(vocabularySize)
  })

  it('learns frequent words as one token', () => {
    expect(tokenizer.encode(' hub')).to.have.length(1)
  })

  it('keeps the opening brace a token of its own, even where a merge would be frequent', () => {
    const [first = -1] = tokenizer.encode('{"answer"')
    expect(tokenizer.decode([first])).to.equal('{')
    expect(tokenizer.vocabulary.tokens.filter((token) => token.includes('{'))).to.deep.equal(['{'])
  })

  it('reads typed control marks as plain text', () => {
    expect(tokenizer.encode('<|im_end|>').every((id) => id >= specialTexts.length)).to.equal(true)
  })

  it('gives the same vocabulary for the same lessons', () => {
    expect(trainVocabulary(lessons, vocabularySize)).to.deep.equal(tokenizer.vocabulary)
  })
})
