/**
 * The cryptography of noise on libsodium (decision 0019). What comes and goes on a connection is encrypted several times a
 * job, and the library's own way costs up to ten times as much: `createCipheriv` for each message, WebAssembly for short ones.
 * The bytes on the wire are those of any other noise.
 */
import { pureJsCrypto, type ICryptoInterface } from '@libp2p/noise'
import sodium from 'sodium-native'
import { sha256 } from '../../protocol/crypto.ts'

/** Of a message's authentication, at its end (RFC 8439). */
const TAG_BYTES = 16
const KEY_BYTES = 32

export const noiseCrypto: ICryptoInterface = {
  hashSHA256: (data) => sha256(data.subarray()),
  // Three times in a handshake, never after it.
  getHKDF: pureJsCrypto.getHKDF,

  generateX25519KeyPair() {
    const seed = new Uint8Array(KEY_BYTES)
    sodium.randombytes_buf(seed)
    return noiseCrypto.generateX25519KeyPairFromSeed(seed)
  },

  generateX25519KeyPairFromSeed(seed) {
    const publicKey = new Uint8Array(KEY_BYTES)
    sodium.crypto_scalarmult_base(publicKey, seed)
    return { publicKey, privateKey: seed }
  },

  /** Throws where the public key is a point of small order, with which the result would be known to everybody. */
  generateX25519SharedKey(privateKey, publicKey) {
    const shared = new Uint8Array(KEY_BYTES)
    sodium.crypto_scalarmult(shared, privateKey.subarray(), publicKey.subarray())
    return shared
  },

  chaCha20Poly1305Encrypt(plaintext, nonce, ad, key) {
    const ciphertext = Buffer.allocUnsafe(plaintext.byteLength + TAG_BYTES)
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(ciphertext, plaintext.subarray(), ad, null, nonce, key)
    return ciphertext
  },

  /** Throws where it was not encrypted by the owner of the key, or was changed. `dst` may be the memory of the ciphertext itself. */
  chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, dst) {
    const plaintext = dst ?? Buffer.allocUnsafe(ciphertext.byteLength - TAG_BYTES)
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plaintext, null, ciphertext.subarray(), ad, nonce, key)
    return plaintext
  },
}
