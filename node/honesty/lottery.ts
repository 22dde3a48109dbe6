/**
 * Which jobs bring a check: drawn with a secret that only this hub has, so no host can tell, and that it shows when the
 * hour is over, so that the other hubs can find out that it skipped none. The secret of an hour is this hub's signature
 * over its name; a job is drawn by an HMAC of its id under it. Pure.
 */
import { createHmac } from 'node:crypto'
import { sha256 } from '../../protocol/crypto.ts'
import type { Signer } from '../../protocol/ports.ts'
import { signatureHolds, signDocument, type Signed } from '../../protocol/signed.ts'
import { decode } from '../../protocol/codec.ts'
import { drawSeedSchema } from '../../protocol/messages/checks.ts'
import { bytesEqual } from '../../protocol/bytes.ts'

export const DRAW_HOUR_MS = 3_600_000

export function hourOf(atMs: number): number {
  return Math.floor(atMs / DRAW_HOUR_MS)
}

/** The document whose signature is the secret of that hour. Ed25519 signs the same bytes with the same signature. */
export function drawSeed(signer: Signer, network: string, hour: number): Signed {
  return signDocument(signer, 'drawSeed', { v: 1, network, hour })
}

/** A number in [0, 1) for this job. */
export function drawOf(seed: Signed, jobId: Uint8Array): number {
  const mac = createHmac('sha256', seed.signature).update(jobId).digest()
  return mac.readUIntBE(0, 6) / 2 ** 48
}

/** What a hub may publish before the hour without giving its secret away: it cannot choose another one afterwards. */
export function commitmentOf(seed: Signed): Uint8Array {
  return sha256(seed.signature)
}

/** True where this is that hub's secret of that hour. */
export function isSeedOf(seed: Signed, { hub, network, hour }: { readonly hub: Uint8Array; readonly network: string; readonly hour: number }): boolean {
  if (!bytesEqual(seed.key, hub) || !signatureHolds('drawSeed', seed)) return false
  const named = decode(drawSeedSchema, seed.body)
  return named.network === network && named.hour === hour
}
