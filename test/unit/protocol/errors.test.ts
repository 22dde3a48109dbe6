import { expect } from 'chai'
import { errorTable, isErrorCode, toTriforceError, TriforceError, type ErrorCode } from '../../../protocol/errors.ts'
import { fromWireError } from '../../../protocol/wire-error.ts'

describe('protocol/errors', () => {
  it('has a status that fits who is at fault, and a sentence', () => {
    for (const [code, spec] of Object.entries(errorTable)) {
      expect(code).to.match(/^[A-Z][A-Z_]+$/)
      expect(spec.http, code).to.be.within(400, 599)
      if (spec.blame !== 'client') expect(spec.http, `${code} is not the client's fault`).to.be.at.least(500)
      expect(spec.text, code).to.match(/^[a-z].*[^.]$/)
    }
  })

  it('keeps our errors and wraps the rest', () => {
    const own = new TriforceError('NO_HOST', { model: 'm' }, { detail: 'why', retryAfterMs: 5 })
    expect(toTriforceError(own, 'INTERNAL')).to.equal(own)
    expect(own).to.include({ message: 'why', retryAfterMs: 5 })
    expect(own.spec).to.equal(errorTable.NO_HOST)
    const cause = new Error('x')
    expect(toTriforceError(cause)).to.include({ code: 'INTERNAL', cause })
    expect(toTriforceError('text', 'HOST_LOST').code).to.equal('HOST_LOST')
    const fake = Object.assign(new Error('x'), { name: 'TriforceError', code: 'toString' })
    expect(toTriforceError(fake).code).to.equal('INTERNAL')
  })

  it('knows its codes, and no name of the object', () => {
    expect(isErrorCode('NO_HOST')).to.equal(true)
    for (const value of ['no_host', 'constructor', '__proto__', '', 7, undefined]) expect(isErrorCode(value)).to.equal(false)
  })

  it('carries an error over the wire, marked as said by another', () => {
    const error = fromWireError({ code: 'QUEUE_FULL', detail: 'full', retryAfterMs: 3 })
    expect(error).to.deep.include({ code: 'QUEUE_FULL', message: 'full', retryAfterMs: 3, context: { remote: true } })
    expect(fromWireError({ code: 'NO_HOST', detail: '' }).message).to.equal(errorTable.NO_HOST.text)
    expect(fromWireError({ code: 'constructor', detail: '' }).code satisfies ErrorCode).to.equal('INTERNAL')
  })
})
