import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { expect } from 'chai'
import { assert, property, uint8Array } from 'fast-check'
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import { createSigner, sha256, verifySignature } from '../../../protocol/crypto.ts'
import { testKey } from '../../support/federation.ts'

describe('protocol/crypto', () => {
  // RFC 8032, section 7.1, tests 1 to 3.
  const vectors = [
    ['9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'],
    ['4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'],
    ['c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7', 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025', 'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a'],
  ] as const

  it('signs as RFC 8032 says', () => {
    for (const [seed, publicKey, message, signature] of vectors) {
      const signer = createSigner(fromHex(seed)!)
      expect(toHex(signer.publicKey)).to.equal(publicKey)
      expect(toHex(signer.sign(fromHex(message)!))).to.equal(signature)
      expect(verifySignature(signer.publicKey, fromHex(message)!, fromHex(signature)!)).to.equal(true)
    }
  })

  it('refuses a signature over other bytes, by another key, or of a wrong shape; never throws', () => {
    const { signer } = testKey()
    const bytes = Uint8Array.of(1, 2, 3)
    const signature = signer.sign(bytes)
    expect(verifySignature(signer.publicKey, Uint8Array.of(1, 2, 4), signature)).to.equal(false)
    expect(verifySignature(testKey().signer.publicKey, bytes, signature)).to.equal(false)
    for (const key of [new Uint8Array(0), new Uint8Array(31), new Uint8Array(32).fill(0xff), new Uint8Array(33)]) expect(verifySignature(key, bytes, signature)).to.equal(false)
    for (const length of [0, 63, 65]) expect(verifySignature(signer.publicKey, bytes, new Uint8Array(length))).to.equal(false)
  })

  it('makes the signatures that Node makes, and takes them', () => {
    assert(property(uint8Array({ minLength: 32, maxLength: 32 }), uint8Array({ maxLength: 2_000 }), (seed, message) => {
      const signer = createSigner(seed)
      const key = createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]), format: 'der', type: 'pkcs8' })
      const signature = sign(null, message, key)
      expect(toHex(signer.sign(message))).to.equal(toHex(signature))
      expect(verifySignature(signer.publicKey, message, signature)).to.equal(true)
      expect(verify(null, message, createPublicKey(key), signer.sign(message))).to.equal(true)
    }), { numRuns: 50 })
  })

  it('refuses keys under which one signature fits every message', () => {
    // The points of small order whose bytes are canonical (0, 1, the two of order 8, their negatives, -1): k·A is then the same for one k of eight.
    const small = [
      '0000000000000000000000000000000000000000000000000000000000000000', '0100000000000000000000000000000000000000000000000000000000000000',
      '0000000000000000000000000000000000000000000000000000000000000080', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    ]
    for (const key of small) {
      for (const r of small) {
        const signature = fromHex(r + '00'.repeat(32))!
        for (let n = 0; n < 16; n += 1) expect(verifySignature(fromHex(key)!, Uint8Array.of(n), signature), `${key} ${n}`).to.equal(false)
      }
    }
  })

  it('hashes parts as if they were one', () => {
    expect(toHex(sha256())).to.equal('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(toHex(sha256(Buffer.from('a'), Buffer.from('bc')))).to.equal('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })

  it('refuses a seed of another length', () => {
    for (const length of [0, 31, 33, 64]) expect(() => createSigner(new Uint8Array(length))).to.throw(RangeError)
  })
})
