/** What all messages of the ledger share: how a log is named, how frames travel, and how large they may be. */
import { z } from 'zod'
import { bytesField, countField, hashField } from '../fields.ts'
import { HUBS_PER_FEDERATION } from '../federation.ts'
import { LOG_FRAME_BYTES_MAX, LOG_FRAME_ENTRIES_MAX } from '../limits.ts'

/** Logs that one hub may have: a new one is opened only after a lost disk, so eight would already be a bad year. */
export const LOG_EPOCHS_MAX = 64

/** One encoded entry. The largest, a receipt, has about 1,000 bytes. */
export const LOG_ENTRY_BYTES_MAX = 8 * 1024

/** One stored frame: its entries, at most 5 bytes of length for each, and header and signature (below 1 KiB). */
export const LOG_STORED_FRAME_BYTES_MAX = LOG_FRAME_BYTES_MAX + 5 * LOG_FRAME_ENTRIES_MAX + 1_024

/** Frames of one message together: three of the largest, or many small ones. Stays far below FRAME_BYTES_MAX. */
export const LOG_MESSAGE_BYTES_MAX = 1024 * 1024

/** Frames of one message: small frames cost the receiver a signature check each, so this bounds its work. */
export const LOG_MESSAGE_FRAMES_MAX = 256

/** Header of a log frame; the largest has about 400 bytes. */
export const LOG_HEADER_BYTES_MAX = 1_024

export const hubIndexField = z.number().int().min(0).max(HUBS_PER_FEDERATION - 1)
export const epochField = z.number().int().min(0).max(0xffff_ffff)

export const logIdSchema = z.strictObject({ hub: hubIndexField, epoch: epochField })

/** The durable end of one log at the sender. */
export const headSchema = z.strictObject({ log: logIdSchema, no: countField.min(1), hash: hashField })

export function bytesUpTo(bytesMax: number) {
  return bytesField.refine((bytes) => bytes.byteLength <= bytesMax, `must have at most ${bytesMax} bytes`)
}

/** Frames of one log in order, as their author stored them. */
export const storedFramesField = z.array(bytesUpTo(LOG_STORED_FRAME_BYTES_MAX)).max(LOG_MESSAGE_FRAMES_MAX)

/** µcr or tokens, as integers that fit 63 bits; DAG-CBOR gives a number where it is exact and a bigint above that. */
export const amountField = z.union([z.bigint(), z.number().int()]).transform((value) => BigInt(value))
  .refine((value) => value >= 0n && value < 2n ** 63n, 'must be 0 or more and less than 2^63')
