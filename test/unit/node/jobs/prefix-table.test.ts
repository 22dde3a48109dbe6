import { expect } from 'chai'
import * as fc from 'fast-check'
import { createPrefixTable, prefixTableDefaults, type PrefixTableOptions } from '../../../../node/jobs/prefix-table.ts'
import type { ChatMessage } from '../../../../protocol/completion.ts'
import { aRequest } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const [ada, ben] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)]
const user = (content: string): ChatMessage => ({ role: 'user', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })
const system: ChatMessage = { role: 'system', content: 'You know all there is to know about bees. '.repeat(20) }
const ask = (...messages: readonly ChatMessage[]) => aRequest({ messages: [...messages] })

function setUp(options: PrefixTableOptions = {}) {
  const clock = fakeClock()
  return { clock, table: createPrefixTable({ clock, random: seededRandom(3) }, options) }
}

describe('node/jobs/prefix-table', () => {
  it('sends the next turn of a conversation where the last one was answered, and the same question again too', () => {
    const { table } = setUp()
    const turn = ask(system, user('What do they eat?'))
    table.answered(ada, turn, 'Pollen.', 'p1')
    expect(table.hostOf(ada, turn)).to.equal('p1')
    expect(table.hostOf(ada, ask(...turn.messages, assistant('Pollen.'), user('And drink?')))).to.equal('p1')
    // An answer that the client has changed is read again, the question before it is not.
    expect(table.hostOf(ada, ask(...turn.messages, assistant('Honey.'), user('And drink?')))).to.equal('p1')
  })

  it('prefers the longest beginning, and the host that answered it last', () => {
    const { table } = setUp()
    table.answered(ada, ask(system, user('one')), 'first', 'p1')
    table.answered(ada, ask(system, user('two')), 'second', 'p2')
    expect(table.hostOf(ada, ask(system, user('one'), assistant('first'), user('more')))).to.equal('p1')
    expect(table.hostOf(ada, ask(system, user('three')))).to.equal('p2')
    expect(table.hostOf(ada, ask(user('three'), system))).to.equal(undefined)
  })

  it('keeps apart accounts, models, tools, roles and pictures', () => {
    const { table } = setUp()
    const asked = ask(system, user('What do they eat?'))
    table.answered(ada, asked, 'Pollen.', 'p1')
    const tools = [{ name: 'look', parameters: '{}' }]
    const pictured = (data: number): ChatMessage => ({ role: 'user', content: [{ type: 'text', text: system.content as string }, { type: 'image', mediaType: 'image/png', data: Uint8Array.of(data) }] })
    expect(table.hostOf(ben, asked)).to.equal(undefined)
    expect(table.hostOf(ada, { ...asked, model: 'other' })).to.equal(undefined)
    expect(table.hostOf(ada, { ...asked, tools })).to.equal(undefined)
    expect(table.hostOf(ada, ask({ ...system, role: 'user' }, user('What do they eat?')))).to.equal(undefined)
    table.answered(ada, ask(pictured(1)), 'A bee.', 'p3')
    expect([table.hostOf(ada, ask(pictured(1))), table.hostOf(ada, ask(pictured(2)))]).to.deep.equal(['p3', undefined])
    expect([table.countAt(ada, asked.model, 'p1'), table.countAt(ben, asked.model, 'p1'), table.countAt(ada, 'other', 'p1')]).to.deep.equal([3, 0, 0])
  })

  it('does not bother with short prompts, unless the answer makes them long', () => {
    const { table } = setUp()
    const short = ask(user('Tell me of bees'))
    table.answered(ada, short, 'No.', 'p1')
    expect([table.hostOf(ada, short), table.countAt(ada, short.model, 'p1')]).to.deep.equal([undefined, 0])
    const long = 'x'.repeat(prefixTableDefaults.charsMin)
    table.answered(ada, short, long, 'p1')
    expect([table.hostOf(ada, short), table.hostOf(ada, ask(...short.messages, assistant(long), user('Go on')))]).to.deep.equal([undefined, 'p1'])
  })

  it('forgets after a while, and what was not used for longest where there is too much', () => {
    const { clock, table } = setUp({ prefixesMax: 4, keepMs: 1_000 })
    const prompts = ['a', 'b', 'c'].map((name) => ask(user(name.repeat(600))))
    for (const [index, prompt] of prompts.entries()) table.answered(ada, prompt, 'yes', `p${index}`)
    // Each stands with its answer and without.
    expect(prompts.map((prompt) => table.hostOf(ada, prompt))).to.deep.equal([undefined, 'p1', 'p2'])
    clock.advance(999)
    expect(table.hostOf(ada, prompts[2]!)).to.equal('p2')
    clock.advance(1)
    expect(table.hostOf(ada, prompts[2]!)).to.equal(undefined)
    expect(table.countAt(ada, prompts[2]!.model, 'p2')).to.equal(0)
  })

  it('finds a host that answered a beginning of the prompt, and no other, whatever is said', () => {
    const word = fc.constantFrom('a', 'b')
    const anyTurns = fc.array(word, { minLength: 1, maxLength: 5 })
    fc.assert(fc.property(fc.array(anyTurns, { maxLength: 8 }), anyTurns, (answered, wanted) => {
      const { table } = setUp({ charsMin: 1 })
      const messages = (words: readonly string[]) => words.map((content, index): ChatMessage => index % 2 === 0 ? user(content) : assistant(content))
      answered.forEach((words, index) => table.answered(ada, ask(...messages(words)), 'yes', `p${index}`))
      const host = table.hostOf(ada, ask(...messages(wanted)))
      const shared = answered.map((words) => words.findIndex((one, index) => one !== wanted[index]))
      const isFitting = (index: number) => shared[index] !== 0
      if (host === undefined) expect(answered.some((_, index) => isFitting(index))).to.equal(false)
      else expect(isFitting(Number(host.slice(1)))).to.equal(true)
    }))
  })
})
