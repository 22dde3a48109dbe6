import { expect } from 'chai'
import { hubIndexOf, isHubKey, readFederation, signFederation, writeFederation, type Federation } from '../../../protocol/federation.ts'
import type { TriforceError } from '../../../protocol/errors.ts'
import { testFederation, testKey } from '../../support/federation.ts'

const { federation, text, hubs } = testFederation()

function whyNot(changed: string): string {
  try {
    readFederation(changed)
    return 'it was read'
  } catch (error) {
    expect((error as TriforceError).code).to.equal('FEDERATION_INVALID')
    return (error as Error).message
  }
}

function signedBy(draft: Federation, signers = hubs): string {
  return writeFederation(draft, signers.map((hub) => signFederation(draft, hub.signer)))
}

describe('protocol/federation', () => {
  it('reads what was written, and knows its hubs', () => {
    expect(readFederation(text)).to.deep.equal(federation)
    hubs.forEach((hub, index) => {
      expect(hubIndexOf(federation, hub.signer.publicKey)).to.equal(index)
      expect(isHubKey(federation, hub.signer.publicKey)).to.equal(true)
    })
    const stranger = testKey().signer.publicKey
    expect(hubIndexOf(federation, stranger)).to.equal(undefined)
    expect(isHubKey(federation, stranger)).to.equal(false)
  })

  it('notices each field that was changed after signing', () => {
    const changes: Readonly<Record<string, (file: { federation: Federation & Record<string, unknown> }) => void>> = {
      network: ({ federation: it }) => { it.network = `${it.network}x` },
      kind: ({ federation: it }) => { it.kind = 'public' },
      createdAt: ({ federation: it }) => { it.createdAt += 1 },
      'name of a hub': ({ federation: it }) => { it.hubs[0]!.name = 'evil' },
      'key of a hub': ({ federation: it }) => { it.hubs[1]!.peerId = testKey().peerId },
      'address of a hub': ({ federation: it }) => { it.hubs[2]!.addresses = ['/ip4/6.6.6.6/tcp/1'] },
      'one address more': ({ federation: it }) => { it.hubs[2]!.addresses.push('/ip4/6.6.6.6/tcp/1') },
      'order of hubs': ({ federation: it }) => { it.hubs.reverse() },
    }
    for (const [name, change] of Object.entries(changes)) {
      const file = JSON.parse(text) as { federation: Federation & Record<string, unknown> }
      change(file)
      expect(whyNot(JSON.stringify(file)), name).to.contain('not signed by its hub')
    }
  })

  it('notices every character of a signature', () => {
    const file = JSON.parse(text) as { signatures: string[] }
    for (let hub = 0; hub < 3; hub += 1) {
      for (let index = 0; index < 128; index += 7) {
        const signatures = [...file.signatures]
        const at = signatures[hub]!
        signatures[hub] = at.slice(0, index) + (at[index] === '0' ? '1' : '0') + at.slice(index + 1)
        expect(whyNot(JSON.stringify({ ...file, signatures }))).to.contain('not signed by its hub')
      }
    }
  })

  it('refuses signatures in another order, of another key, or in capitals', () => {
    expect(whyNot(signedBy(federation, [hubs[1]!, hubs[0]!, hubs[2]!]))).to.contain('not signed')
    expect(whyNot(signedBy(federation, [hubs[0]!, hubs[1]!, testKey()]))).to.contain('not signed')
    const file = JSON.parse(text) as { signatures: string[] }
    expect(whyNot(JSON.stringify({ ...file, signatures: file.signatures.map((one) => one.toUpperCase()) }))).to.contain('not signed')
  })

  it('refuses what is not valid although it is signed', () => {
    const bad: readonly Partial<Record<keyof Federation, unknown>>[] = [
      { v: 2 }, { network: 'Upper' }, { network: '' }, { network: 'a/b' }, { network: 'x'.repeat(33) }, { kind: 'other' }, { createdAt: -1 }, { createdAt: 1.5 },
      { hubs: federation.hubs.slice(0, 2) }, { hubs: [...federation.hubs, federation.hubs[0]!] },
      { hubs: federation.hubs.map((hub, index) => index === 0 ? { ...hub, peerId: 'x' } : hub) },
      { hubs: federation.hubs.map((hub, index) => index === 0 ? { ...hub, addresses: [] } : hub) },
      { hubs: federation.hubs.map((hub, index) => index === 0 ? { ...hub, extra: 1 } : hub) },
    ]
    for (const part of bad) expect(whyNot(signedBy({ ...federation, ...part } as Federation)), JSON.stringify(part)).to.contain('is not valid at')
    const twice = { ...federation, hubs: [federation.hubs[0]!, federation.hubs[0]!, federation.hubs[2]!] }
    expect(whyNot(signedBy(twice, [hubs[0]!, hubs[0]!, hubs[2]!]))).to.contain('twice')
  })

  it('says in a sentence what is wrong with a file that is none', () => {
    expect(whyNot('')).to.contain('not JSON')
    expect(whyNot('{')).to.contain('not JSON')
    expect(whyNot('{}')).to.contain('not valid at')
    expect(whyNot(JSON.stringify({ ...(JSON.parse(text) as object), more: 1 }))).to.contain('not valid at')
  })
})
