import { expect } from 'chai'
import { usableSchema } from '../../../../providers/embedded/json-grammar.ts'

const convert = (schema: unknown): unknown => usableSchema(JSON.stringify(schema))
const refusal = (schema: unknown): string => {
  try {
    convert(schema)
    return 'taken'
  } catch (error) {
    expect(error).to.include({ code: 'BAD_REQUEST' })
    return (error as Error).message.replace('the JSON schema cannot be used: ', '')
  }
}

describe('providers/embedded/json-grammar', () => {
  it('brings what OpenAI clients send into the form of the engine', () => {
    expect(convert({
      $schema: 'x', title: 'T', type: 'object', additionalProperties: false, required: ['a', 'b'],
      properties: { a: { anyOf: [{ type: 'string' }, { type: 'null' }] }, b: { $ref: '#/definitions/B', description: 'd' }, title: { type: 'integer', default: 1 } },
      definitions: { B: { type: 'array', items: { enum: ['x', 1, null], type: 'string' }, maxItems: 3 } },
    })).to.deep.equal({
      type: 'object', additionalProperties: false,
      properties: { a: { oneOf: [{ type: 'string' }, { type: 'null' }] }, b: { $ref: '#/$defs/B' }, title: { type: 'integer' } },
      $defs: { B: { type: 'array', items: { enum: ['x', 1, null] }, maxItems: 3 } },
    })
  })

  it('makes alternatives of a list of types that has more than plain ones', () => {
    expect(convert({ type: ['object', 'null'], properties: { a: { type: ['boolean', 'null'] } } })).to.deep.equal({
      oneOf: [{ type: 'object', properties: { a: { type: ['boolean', 'null'] } } }, { type: 'null', properties: { a: { type: ['boolean', 'null'] } } }],
    })
    expect(convert({ type: ['string', 'null'], maxLength: 5 })).to.deep.equal({ oneOf: [{ type: 'string', maxLength: 5 }, { type: 'null', maxLength: 5 }] })
  })

  it('infers a type that is plain to see', () => {
    expect(convert({ properties: { a: { const: 1 } } })).to.deep.equal({ type: 'object', properties: { a: { const: 1 } } })
  })

  it('refuses what the engine would not keep, with the place', () => {
    expect(refusal({ type: 'object', properties: { n: { type: 'integer', minimum: 0 } } })).to.equal('the engine cannot hold a model to "minimum" (#/properties/n/minimum)')
    expect(refusal({ type: 'string', pattern: '^a$' })).to.include('"pattern"')
    expect(refusal({ allOf: [] })).to.include('"allOf"')
    expect(refusal({ $ref: 'https://example.com/x' })).to.equal('#/$ref does not lead to a definition at the root')
    expect(refusal({ $ref: '#/$defs/none', $defs: {} })).to.equal('#/$ref does not lead to a definition at the root')
    expect(refusal({ anyOf: [{ type: 'null' }], type: 'object', properties: {} })).to.equal('# has properties next to oneOf')
    expect(refusal({})).to.equal('# says no type')
    expect(refusal({ type: 'text' })).to.equal('#/type is not a type of JSON')
    expect(refusal(7)).to.equal('# is not an object')
    expect(refusal({ enum: [{}] })).to.equal('#/enum must list plain values')
  })

  it('bounds depth, parts and counts', () => {
    let deep: unknown = { type: 'null' }
    for (let i = 0; i < 40; i++) deep = { type: 'array', items: deep }
    expect(refusal(deep)).to.equal('it is nested deeper than 32')
    expect(refusal({ enum: Array.from({ length: 3_000 }, (_, i) => i) })).to.equal('it has more than 2000 parts')
    expect(refusal({ oneOf: Array.from({ length: 2_001 }, () => ({ type: 'null' })) })).to.equal('it has more than 2000 parts')
    expect(refusal({ type: 'array', items: { type: 'null' }, maxItems: 1_001 })).to.equal('#/maxItems must be 0 to 1000')
  })
})
