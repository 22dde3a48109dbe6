import type { FastifyRequest } from 'fastify'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { BODY_LEVELS_MAX, parseJsonBody } from '../../../../node/bridge/json-body.ts'
import { toTriforceError } from '../../../../protocol/errors.ts'
import { SEED } from '../../../support/seed.ts'

/** The body, or the code of the refusal. */
function read(text: string): unknown {
  let outcome: unknown
  parseJsonBody({ headers: {} } as FastifyRequest, text, (error, body) => { outcome = error === null ? { body } : toTriforceError(error).code })
  return outcome
}

const deep = (levels: number, open = '[', close = ']') => open.repeat(levels) + close.repeat(levels)

describe('node/bridge/json-body', () => {
  it('takes as many levels as it may, and not one more', () => {
    expect(read(deep(BODY_LEVELS_MAX))).to.have.property('body')
    expect(read(deep(BODY_LEVELS_MAX + 1))).to.equal('BAD_REQUEST')
    expect(read(deep(BODY_LEVELS_MAX + 1, '{"x":[', ']}'))).to.equal('BAD_REQUEST')
    expect(read(`[${`${deep(BODY_LEVELS_MAX - 1)},`.repeat(100)}1]`), 'beside each other').to.have.property('body')
  })

  it('counts nothing inside of a string, however it is escaped', () => {
    for (const text of ['[[[', '\\', '\\"[', '"[[', '\\\\\\"{', ']]]]']) {
      const json = JSON.stringify({ text: text.repeat(100), after: [[text]] })
      expect(read(json), text).to.deep.equal({ body: JSON.parse(json) })
    }
  })

  it('parses as JSON.parse does, whatever comes', function () {
    this.timeout(60_000)
    const seed = SEED
    console.log(`      seed ${seed}`)
    fc.assert(fc.property(fc.oneof(fc.json({ maxDepth: 8 }), fc.string({ unit: 'binary' }), fc.json().map((json) => json.slice(0, -1)), fc.jsonValue().map((value) => JSON.stringify([JSON.stringify(value), value]))), (text) => {
      let expected: unknown = 'BODY_NOT_JSON'
      try {
        expected = { body: JSON.parse(text) as unknown }
      } catch {
        // That is the expectation.
      }
      expect(JSON.stringify(read(text))).to.equal(JSON.stringify(expected))
    }), { seed, numRuns: 300 })
  })
})
