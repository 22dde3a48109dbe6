/** Signatures of tool calls that a vendor wants back with the call (Gemini 3), since no client format has a place for them. */

/** A signature has up to some 4 KiB; a conversation comes back to the hub that has the vendor's key. */
const SIGNATURES_MAX = 4_096
const SIGNATURE_CHARS_MAX = 32 * 1024

export interface SignatureStore {
  put(callId: string, signature: string): void
  get(callId: string): string | undefined
}

export function createSignatureStore(): SignatureStore {
  const byCall = new Map<string, string>()
  return {
    put(callId, signature) {
      if (signature.length > SIGNATURE_CHARS_MAX) return
      byCall.delete(callId)
      byCall.set(callId, signature)
      const [oldest] = byCall.keys()
      if (byCall.size > SIGNATURES_MAX && oldest !== undefined) byCall.delete(oldest)
    },
    get: (callId) => byCall.get(callId),
  }
}
