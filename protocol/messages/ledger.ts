/**
 * The exchange of logs between two hubs, on one stream in both directions.
 *
 * Each side says `hello` first. Then an author pushes the frames of its own log as they become durable, either side
 * asks with `want` for what it lacks, and `ack` tells what is on the sender's disk. Frames travel as the bytes that
 * their author stored; they carry their own proof, so any hub may pass on the log of any other.
 */
import { z } from 'zod'
import { decode, encode } from '../codec.ts'
import { bytesField, countField, hashField } from '../fields.ts'
import { HUBS_PER_FEDERATION } from '../federation.ts'
import { LOG_FRAME_BYTES_MAX, LOG_FRAME_ENTRIES_MAX } from '../limits.ts'

/** Logs that one hub may have: a new one is opened only after a lost disk, so eight would already be a bad year. */
export const LOG_EPOCHS_MAX = 64

/** One encoded entry. The largest, a receipt, has about 1,000 bytes. */
export const LOG_ENTRY_BYTES_MAX = 8 * 1024

/** One stored frame: its entries, at most 5 bytes of length for each, and header and signature (below 1 KiB). */
export const LOG_STORED_FRAME_BYTES_MAX = LOG_FRAME_BYTES_MAX + 5 * LOG_FRAME_ENTRIES_MAX + 1_024

/** Frames of one `frames` message together: three of the largest, or many small ones. Stays far below FRAME_BYTES_MAX. */
export const LOG_MESSAGE_BYTES_MAX = 1024 * 1024

/** Frames of one `frames` message: small frames cost the receiver a signature check each, so this bounds its work. */
export const LOG_MESSAGE_FRAMES_MAX = 256

/** Any whole `frames` message: its frames, and a few bytes around each. */
export const LEDGER_MESSAGE_BYTES_MAX = LOG_MESSAGE_BYTES_MAX + 8 * LOG_MESSAGE_FRAMES_MAX + 1_024

export const hubIndexField = z.number().int().min(0).max(HUBS_PER_FEDERATION - 1)
export const epochField = z.number().int().min(0).max(0xffff_ffff)

export const logIdSchema = z.strictObject({ hub: hubIndexField, epoch: epochField })
/** A log: whose it is, and which of that hub's logs. */
export type LogId = z.output<typeof logIdSchema>

/** The durable end of one log at the sender. */
export const headSchema = z.strictObject({ log: logIdSchema, no: countField.min(1), hash: hashField })
export type Head = z.output<typeof headSchema>

/** First message of each side: everything that is on its disk. What it says of the receiver's own log is the attestation of §Recovery in docs/ledger.md. */
export const helloMessageSchema = z.object({
  t: z.literal('hello'),
  v: z.literal(1),
  network: z.string().max(64),
  heads: z.array(headSchema).max(HUBS_PER_FEDERATION * LOG_EPOCHS_MAX),
})

export const framesMessageSchema = z.object({
  t: z.literal('frames'),
  log: logIdSchema,
  frames: z.array(bytesField.refine((bytes) => bytes.byteLength <= LOG_STORED_FRAME_BYTES_MAX, 'is longer than a frame can be'))
    .min(1).max(LOG_MESSAGE_FRAMES_MAX),
})

/** Send frames of `log` from number `from`, as many as fit `bytesMax`. */
export const wantMessageSchema = z.object({
  t: z.literal('want'), log: logIdSchema, from: countField.min(1), bytesMax: countField.min(1),
})

/** All frames of `log` up to `no` are on the sender's disk. */
export const ackMessageSchema = z.object({ t: z.literal('ack'), log: logIdSchema, no: countField.min(1) })

export const ledgerMessageSchema = z.discriminatedUnion('t', [
  helloMessageSchema, framesMessageSchema, wantMessageSchema, ackMessageSchema,
])
export type LedgerMessage = z.output<typeof ledgerMessageSchema>

export function encodeLedgerMessage(message: LedgerMessage): Uint8Array {
  return encode(message)
}

/** Throws FRAME_MALFORMED. */
export function decodeLedgerMessage(bytes: Uint8Array): LedgerMessage {
  return decode(ledgerMessageSchema, bytes)
}
