import { expect } from 'chai'
import { nothingFor } from '../../../../node/jobs/route-plan.ts'
import type { LeftOut } from '../../../../node/jobs/router.ts'

const leftOut = (...reasons: readonly LeftOut['reason'][]): LeftOut[] => reasons.map((reason, n) => ({ model: 'm', peer: `p${n}`, name: `gpu-${n}`, reason }))
const said = (...reasons: readonly LeftOut['reason'][]) => {
  const { code, message } = nothingFor({ model: 'm' }, { offers: reasons.length, leftOut: leftOut(...reasons) })
  return `${code}: ${message}`
}

describe('node/jobs/route-plan where nobody can be asked', () => {
  it('says of the only host why it does not lend, and what ends that', () => {
    expect(said('paused')).to.equal('NO_HOST: the only host of "m" does not lend now: gpu-0 is paused; "triforce resume" on that machine lends it again')
    expect(said('outside its hours')).to.equal('NO_HOST: the only host of "m" does not lend now: gpu-0 is outside its hours')
    expect(said('draining')).to.include('gpu-0 is leaving or drained; "triforce resume"')
  })

  it('says of several that none lends, and of others what else is the matter', () => {
    expect(said('paused', 'in use by its owner', 'paused')).to.equal('NO_HOST: none of the 3 hosts of "m" lends now: paused, in use by its owner; "triforce route --model m --explain" lists them')
    expect(said('paused', 'unreachable')).to.match(/^NO_HOST: .*cannot be reached, are leaving/)
    expect(said('incapable')).to.match(/^CAPABILITY_MISSING/)
    expect(said('paused', 'privacy')).to.match(/^NO_ALLOWED_HOST: .*paused, privacy/)
    expect(said()).to.match(/^MODEL_NOT_FOUND/)
  })

  it('can be tried again where a host may lend soon', () => {
    expect(nothingFor({ model: 'm' }, { offers: 1, leftOut: leftOut('paused') }).retryAfterMs).to.equal(5_000)
  })
})
