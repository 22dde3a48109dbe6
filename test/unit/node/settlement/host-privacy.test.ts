import { expect } from 'chai'
import { createHostPrivacy } from '../../../../node/settlement/host-privacy.ts'
import type { Capacity } from '../../../../protocol/messages/capacity.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { aCapacity } from '../../../support/completions.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import { testKey } from '../../../support/federation.ts'

describe('node/settlement/host-privacy', () => {
  const ledger = fakeLedger()
  const [me, friend, stranger, node] = [testKey(), testKey(), testKey(), testKey()]
  const accounts = { me: ledger.addAccount(me.signer.publicKey).id, friend: ledger.addAccount(friend.signer.publicKey).id, stranger: ledger.addAccount(stranger.signer.publicKey).id }
  const proven = new Set<Uint8Array>()
  const privacyOf = createHostPrivacy({ ledger, isProven: (account) => [...proven].some((one) => Buffer.compare(one, account) === 0) })
  const classOf = (owner: Uint8Array, friends?: readonly Uint8Array[], mode: Capacity['mode'] = 'contributor', needsProof = true) =>
    privacyOf({ account: accounts.me, friends }, { needsProof })({ contributor: toHex(owner), capacity: aCapacity({ peer: owner, mode }, 1) })

  it('knows own nodes, those of friends that the key names, and nobody else\'s', () => {
    const friends = [accounts.friend]
    expect(classOf(me.signer.publicKey, friends)).to.equal('own')
    expect(classOf(friend.signer.publicKey, friends)).to.equal('friends')
    expect(classOf(friend.signer.publicKey, friends, 'hub')).to.equal('friends')
    expect(classOf(stranger.signer.publicKey, friends)).to.equal('any')
    expect(classOf(friend.signer.publicKey), 'a key without friends').to.equal('any')
    expect(classOf(node.signer.publicKey, friends), 'a node of no account').to.equal('any')
  })

  it('takes hubs and proven hosts for verified, which is less than a friend', () => {
    proven.add(accounts.friend).add(accounts.stranger)
    expect(classOf(stranger.signer.publicKey, [accounts.friend])).to.equal('verified')
    expect(classOf(friend.signer.publicKey, [accounts.friend])).to.equal('friends')
    expect(classOf(node.signer.publicKey, [], 'hub')).to.equal('verified')
    expect(classOf(stranger.signer.publicKey, [], 'contributor', false), 'where it does not matter').to.equal('any')
    expect(classOf(node.signer.publicKey, [], 'hub', false)).to.equal('verified')
  })
})
