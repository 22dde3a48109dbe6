import { expect } from 'chai'
import { createAccountGate } from '../../../../node/settlement/account-gate.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import { CLOCK_SKEW_MS_MAX } from '../../../../protocol/limits.ts'
import type { AccountRequest } from '../../../../protocol/messages/job.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { codeOf } from '../../../support/code-of.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import { testKey } from '../../../support/federation.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const body = Uint8Array.of(1, 2, 3)
const hub = testKey()
const key = testKey()
const random = seededRandom(9)

function setUp(noncesMax?: number) {
  const clock = fakeClock()
  const ledger = fakeLedger()
  const account = ledger.addAccount(key.signer.publicKey)
  const gate = createAccountGate({ ledger, clock }, { network: 'net', hub: hub.signer.publicKey, ...(noncesMax === undefined ? {} : { noncesMax }) })
  const request = (part: Partial<AccountRequest> = {}): AccountRequest => ({
    v: 1, network: 'net', hub: hub.signer.publicKey, action: 'models', bodyHash: sha256(body), nonce: random.bytes(16), sentAt: clock.now(), ...part,
  })
  const admit = (part: Partial<AccountRequest> = {}, signer = key.signer) => gate.admit(signDocument(signer, 'accountRequest', request(part)), body)
  return { clock, ledger, account, gate, request, admit }
}

describe('node/settlement/account-gate', () => {
  it('admits a request of a known key, and says what is asked and by whom', () => {
    const { account, admit } = setUp()
    expect(admit()).to.deep.include({ action: 'models', account })
  })

  it('refuses an unknown or revoked key', async () => {
    const { ledger, admit } = setUp()
    expect(await codeOf(() => admit({}, testKey().signer))).to.equal('INVALID_API_KEY')
    await ledger.revokeKey({ publicKey: key.signer.publicKey })
    expect(await codeOf(() => admit())).to.equal('INVALID_API_KEY')
  })

  it('refuses the key of a machine that is lent: it may not spend', async () => {
    const { ledger, clock, request } = setUp()
    const gate = createAccountGate({ ledger, clock }, { network: 'net', hub: hub.signer.publicKey, isNodeKey: () => true })
    expect(await codeOf(() => gate.admit(signDocument(key.signer, 'accountRequest', request()), body))).to.equal('INVALID_API_KEY')
  })

  it('refuses what is meant for another hub, another network or another body', async () => {
    const { admit } = setUp()
    for (const part of [{ hub: testKey().signer.publicKey }, { network: 'other' }, { bodyHash: sha256(Uint8Array.of(9)) }]) {
      expect(await codeOf(() => admit(part))).to.equal('FORBIDDEN')
    }
  })

  it('refuses every byte that was changed, and a document of another kind', async () => {
    const { gate, request } = setUp()
    const signed = signDocument(key.signer, 'accountRequest', request())
    for (const field of ['body', 'signature'] as const) {
      for (let index = 0; index < signed[field].byteLength; index += 1) {
        const bytes = signed[field].slice()
        bytes[index]! ^= 1
        expect(await codeOf(() => gate.admit({ ...signed, [field]: bytes }, body))).to.equal('SIGNATURE_INVALID')
      }
    }
    expect(await codeOf(() => gate.admit(signDocument(key.signer, 'ticket', request()), body))).to.equal('SIGNATURE_INVALID')
    expect(await codeOf(() => gate.admit(signed, body))).to.equal('none')
  })

  it('refuses a clock that is off by more than CLOCK_SKEW_MS_MAX', async () => {
    const { clock, admit } = setUp()
    for (const sign of [-1, 1]) {
      expect(await codeOf(() => admit({ sentAt: clock.now() + sign * CLOCK_SKEW_MS_MAX }))).to.equal('none')
      expect(await codeOf(() => admit({ sentAt: clock.now() + sign * (CLOCK_SKEW_MS_MAX + 1) }))).to.equal('FORBIDDEN')
    }
  })

  it('refuses a replay for as long as its time would let it pass', async () => {
    const { clock, gate, request } = setUp()
    const signed = signDocument(key.signer, 'accountRequest', request({ sentAt: clock.now() + CLOCK_SKEW_MS_MAX }))
    expect(await codeOf(() => gate.admit(signed, body))).to.equal('none')
    for (const ms of [0, 1, CLOCK_SKEW_MS_MAX, CLOCK_SKEW_MS_MAX - 1, 1, 10_000]) {
      clock.advance(ms)
      expect(await codeOf(() => gate.admit(signed, body)), `at ${clock.monotonicMs()}`).to.equal('FORBIDDEN')
    }
  })

  it('remembers a bounded number of nonces, and forgets the old ones', async () => {
    const { clock, admit } = setUp(2)
    admit()
    admit()
    expect(await codeOf(() => admit())).to.equal('RATE_LIMITED')
    clock.advance(2 * CLOCK_SKEW_MS_MAX + 1)
    expect(await codeOf(() => admit())).to.equal('none')
  })
})
