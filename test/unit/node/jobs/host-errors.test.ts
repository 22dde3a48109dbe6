import { expect } from 'chai'
import { fromHost, REQUEST_CODES } from '../../../../node/jobs/host-errors.ts'
import { errorTable, TriforceError, type ErrorCode } from '../../../../protocol/errors.ts'
import { fromWireError } from '../../../../protocol/wire-error.ts'

describe('node/jobs/host-errors', () => {
  it('lets a host say nothing of the client but what concerns the request', () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      const said = fromHost(fromWireError({ code, detail: 'd' }))
      if (REQUEST_CODES.has(code)) expect(said.code).to.equal(code)
      else expect(said.spec.blame, code).to.not.equal('client')
      if (code === 'INTERNAL') expect(said.code).to.equal('ENGINE_FAILED')
    }
  })

  it('leaves what this side found out as it is', () => {
    const error = new TriforceError('CANCELLED')
    expect(fromHost(error)).to.equal(error)
  })
})
