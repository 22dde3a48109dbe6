import { expect } from 'chai'
import * as fc from 'fast-check'
import { scrub } from '../../../../providers/cloud/scrub.ts'

describe('providers/cloud/scrub', () => {
  for (const [text, clean] of [
    ['Incorrect API key provided: sk-proj-ab********wxyz.', 'Incorrect API key provided: [removed]'],
    ['Bearer abc.def.ghi is wrong', '[removed] is wrong'],
    ['key AIzaSyA1234567890abcdef', 'key [removed]'],
    ['gsk_1234567890abcdefgh is not known', '[removed] is not known'],
    ['token 0123456789abcdef0123456789abcdef', 'token [removed]'],
    ['The model `gpt-4o-2024-11-20` does not exist', 'The model `gpt-4o-2024-11-20` does not exist'],
    ['claude-sonnet-4-5-20250929 reads 200000 tokens', 'claude-sonnet-4-5-20250929 reads 200000 tokens'],
    ['a\n\u0000b\u001b[31m c\u2028d', 'a b [31m c d'],
    ['see https://example.com/account?key=1', 'see'],
  ] as const) {
    it(`makes "${clean}"`, () => expect(scrub(text)).to.equal(clean))
  }

  it('takes out the key itself, whatever its form', () => {
    expect(scrub('you sent hunter2 here', ['hunter2'])).to.equal('you sent [removed] here')
  })

  it('is bounded and of one line, whatever a vendor says', () => {
    fc.assert(fc.property(fc.string({ maxLength: 5_000, unit: 'binary' }), (text) => {
      const clean = scrub(text)
      // oxlint-disable-next-line no-control-regex -- there must be none
      return clean.length <= 501 && !/[\u0000-\u001f]/.test(clean)
    }))
  })
})
