import { expect } from 'chai'
import { openaiError, openaiErrorBody, publicText, retryHeaders } from '../../../../node/bridge/openai-errors.ts'
import { errorTable, TriforceError, type ErrorCode } from '../../../../protocol/errors.ts'

const codes = Object.keys(errorTable) as ErrorCode[]

describe('node/bridge/openai-errors', () => {
  it('writes every code of the table in the exact shape of OpenAI', () => {
    for (const code of codes) {
      const body = JSON.parse(openaiErrorBody(new TriforceError(code))) as { error: Record<string, unknown> }
      expect(Object.keys(body), code).to.deep.equal(['error'])
      expect(body.error, code).to.have.all.keys('message', 'type', 'param', 'code')
      expect(body.error['type'], code).to.equal(errorTable[code].type)
      expect(body.error['param'], code).to.equal(null)
    }
  })

  it('uses the words that OpenAI has', () => {
    expect(openaiError(new TriforceError('INVALID_API_KEY')).code).to.equal('invalid_api_key')
    expect(openaiError(new TriforceError('MODEL_NOT_FOUND')).code).to.equal('model_not_found')
    expect(openaiError(new TriforceError('CONTEXT_LENGTH_EXCEEDED')).code).to.equal('context_length_exceeded')
    expect(openaiError(new TriforceError('RATE_LIMITED')).code).to.equal('rate_limit_exceeded')
    expect(openaiError(new TriforceError('BAD_REQUEST', { param: 'tools', unsupported: true })))
      .to.include({ code: 'unsupported_parameter', param: 'tools' })
  })

  it('tells clients to repeat exactly what the table allows', () => {
    for (const code of codes) {
      expect(retryHeaders(new TriforceError(code))['x-should-retry'], code).to.equal(String(errorTable[code].retry))
    }
  })

  it('gives Retry-After in whole seconds from 1 to 60', () => {
    const seconds = (code: ErrorCode, retryAfterMs?: number) =>
      retryHeaders(new TriforceError(code, {}, retryAfterMs === undefined ? {} : { retryAfterMs }))['retry-after']
    expect(seconds('NO_HOST')).to.equal('2')
    expect(seconds('RATE_LIMITED')).to.equal('2')
    expect(seconds('QUEUE_FULL', 1_001)).to.equal('2')
    expect(seconds('QUEUE_FULL', 0)).to.equal('1')
    expect(seconds('QUEUE_FULL', 3_600_000)).to.equal('60')
    expect(seconds('HOST_LOST')).to.equal(undefined)
    expect(seconds('INSUFFICIENT_CREDITS')).to.equal(undefined)
    expect(seconds('ENGINE_MISSING')).to.equal(undefined)
  })

  it('shows the sentence for people, but nothing of what went wrong inside', () => {
    const busy = 'both hosts of llama are busy'
    expect(publicText(new TriforceError('NO_HOST', {}, { detail: busy }))).to.equal(busy)
    for (const code of codes.filter((code) => errorTable[code].http === 500)) {
      expect(publicText(new TriforceError(code, {}, { detail: '/root/secret' })), code).to.equal(errorTable[code].text)
    }
    expect(publicText(new TriforceError('NO_HOST', {}, { detail: 'x'.repeat(5_000) }))).to.have.length(1_001)
  })
})
