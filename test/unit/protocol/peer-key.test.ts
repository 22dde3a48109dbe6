import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { toHex } from '../../../protocol/bytes.ts'
import { createSigner } from '../../../protocol/crypto.ts'
import { modelKey, peerIdOf, publicKeyOf } from '../../../protocol/peer-key.ts'

describe('protocol/peer-key', () => {
  it('names a key as libp2p does', async () => {
    for (const fill of [0, 1, 255]) {
      const seed = new Uint8Array(32).fill(fill)
      const expected = peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', seed)).toString()
      expect(peerIdOf(createSigner(seed).publicKey)).to.equal(expected)
    }
  })

  it('reads the key back', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      expect(toHex(publicKeyOf(peerIdOf(key))!)).to.equal(toHex(key))
    }))
  })

  it('takes nothing else for a peer id', () => {
    const good = peerIdOf(new Uint8Array(32))
    // The last but one is an id of an RSA key, the last one a CID.
    for (const text of ['', 'x', good.slice(0, -1), `${good}1`, `z${good}`, good.replace('1', '0'), 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', modelKey('net', 'm').toString()]) {
      expect(publicKeyOf(text), text).to.equal(undefined)
    }
  })

  it('gives each network and model a key of its own', () => {
    const keys = new Set([modelKey('a', 'm'), modelKey('b', 'm'), modelKey('a', 'n')].map(String))
    expect(keys.size).to.equal(3)
    expect(modelKey('a', 'm').toString()).to.equal(modelKey('a', 'm').toString())
  })
})
