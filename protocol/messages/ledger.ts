/**
 * The exchange of logs between two hubs, on one stream in both directions.
 *
 * Each side says `hello` first. Then an author pushes the frames of its own log as they become durable, either side
 * asks with `want` for what it lacks, and `ack` tells what is on the sender's disk. Frames travel as the bytes that
 * their author stored; they carry their own proof, so any hub may pass on the log of any other.
 * What hubs say about rights, seals and checkpoints goes the same way: ledger-rights.ts, ledger-seal.ts, ledger-checkpoint.ts.
 */
import { z } from 'zod'
import { decode, encode } from '../codec.ts'
import { countField } from '../fields.ts'
import { HUBS_PER_FEDERATION } from '../federation.ts'
import { bytesFrom, countFrom, listOf, oneOf, shapeOf } from '../shape.ts'
import { checkpointMessageSchema, cosignMessageSchema, finalMessageSchema } from './ledger-checkpoint.ts'
import {
  headSchema, LOG_EPOCHS_MAX, LOG_MESSAGE_BYTES_MAX, LOG_MESSAGE_FRAMES_MAX, LOG_STORED_FRAME_BYTES_MAX, logIdSchema, storedFramesField,
} from './ledger-fields.ts'
import { answerMessageSchema, askMessageSchema, rightsAskMessageSchema, rightsNoneMessageSchema } from './ledger-rights.ts'
import {
  forkMessageSchema, orphansMessageSchema, recallMessageSchema, recalledMessageSchema, sealAskMessageSchema, sealCertificateMessageSchema, sealPromiseMessageSchema,
} from './ledger-seal.ts'

/** Any whole message: frames, and a few bytes around each. */
export const LEDGER_MESSAGE_BYTES_MAX = LOG_MESSAGE_BYTES_MAX + 8 * LOG_MESSAGE_FRAMES_MAX + 1_024

/** A log: whose it is, and which of that hub's logs. */
export type LogId = z.output<typeof logIdSchema>
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
  frames: storedFramesField.min(1),
})

/** Send frames of `log` from number `from`, as many as fit `bytesMax`. */
export const wantMessageSchema = z.object({
  t: z.literal('want'), log: logIdSchema, from: countField.min(1), bytesMax: countField.min(1),
})

/** All frames of `log` up to `no` are on the sender's disk. */
export const ackMessageSchema = z.object({ t: z.literal('ack'), log: logIdSchema, no: countField.min(1) })

export const ledgerMessageSchema = z.discriminatedUnion('t', [
  helloMessageSchema, framesMessageSchema, wantMessageSchema, ackMessageSchema,
  rightsAskMessageSchema, rightsNoneMessageSchema, askMessageSchema, answerMessageSchema,
  sealAskMessageSchema, sealPromiseMessageSchema, sealCertificateMessageSchema, orphansMessageSchema, forkMessageSchema,
  recallMessageSchema, recalledMessageSchema, checkpointMessageSchema, cosignMessageSchema, finalMessageSchema,
])
export type LedgerMessage = z.output<typeof ledgerMessageSchema>

const isLogId = shapeOf({ hub: countFrom(0, HUBS_PER_FEDERATION - 1), epoch: countFrom(0, 0xffff_ffff) })
const isFrames = shapeOf({ t: oneOf('frames'), log: isLogId, frames: listOf(bytesFrom(0, LOG_STORED_FRAME_BYTES_MAX), 1, LOG_MESSAGE_FRAMES_MAX) })
const isAck = shapeOf({ t: oneOf('ack'), log: isLogId, no: countFrom(1) })
/** Nearly all messages are one of these. */
export const isFramesOrAck = (value: unknown) => isAck(value) || isFrames(value)

export function encodeLedgerMessage(message: LedgerMessage): Uint8Array {
  return encode(message)
}

/** Throws FRAME_MALFORMED. */
export function decodeLedgerMessage(bytes: Uint8Array): LedgerMessage {
  return decode(ledgerMessageSchema, bytes, isFramesOrAck)
}
