/** The names of libsodium that are used, as they are: any bytes will do where DefinitelyTyped asks for a Buffer. */
declare module 'sodium-native' {
  const sodium: {
    readonly crypto_sign_SECRETKEYBYTES: number
    /** Writes both keys of `seed` (32 bytes) into its first two arguments. */
    crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void
    /** Writes 64 bytes into `signature`. */
    crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void
    crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
    randombytes_buf(bytes: Uint8Array): void
    /** X25519: writes 32 bytes into its first argument. */
    crypto_scalarmult_base(publicKey: Uint8Array, privateKey: Uint8Array): void
    /** Throws for a public key of small order. */
    crypto_scalarmult(shared: Uint8Array, privateKey: Uint8Array, publicKey: Uint8Array): void
    /** Writes 16 bytes more than the message has into `ciphertext`. */
    crypto_aead_chacha20poly1305_ietf_encrypt(ciphertext: Uint8Array, message: Uint8Array, ad: Uint8Array | null, secretNonce: null, nonce: Uint8Array, key: Uint8Array): number
    /** Throws where the authentication fails. Both may be the same memory. */
    crypto_aead_chacha20poly1305_ietf_decrypt(message: Uint8Array, secretNonce: null, ciphertext: Uint8Array, ad: Uint8Array | null, nonce: Uint8Array, key: Uint8Array): number
  }
  export default sodium
}
