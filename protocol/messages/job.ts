/**
 * The job protocol, one job at a time on a pooled stream.
 *
 * asking side → host: open, cancel
 * host → asking side: beat* while it waits for a slot, then reject, or accept and (beat | chunk | progress)* and exactly one
 * of end | fail
 *
 * After `end`, `fail` or `reject` both sides may use the stream for the next job. A stream that ends without one of
 * them is a failure: an end of file never means "complete".
 */
import { z } from 'zod'
import { finishReasonSchema, usageSchema } from '../completion.ts'
import { bytesField, countField, hashField, idField, publicKeyField, shortText, timeField } from '../fields.ts'
import { signedSchema } from '../signed.ts'

export const jobOpenSchema = z.object({
  t: z.literal('open'),
  ticket: signedSchema,
  /** DAG-CBOR of a CompletionRequest; the ticket carries its hash. */
  request: bytesField,
})

/** A hub is asked to place the job itself and to relay the stream; `authorization` opens to an AccountRequest. */
export const jobRelaySchema = z.object({
  t: z.literal('relay'),
  authorization: signedSchema,
  request: bytesField,
})

/** Stop soon and end in order, with the exact usage. */
export const jobCancelSchema = z.object({ t: z.literal('cancel') })

export const jobAskSchema = z.discriminatedUnion('t', [jobOpenSchema, jobRelaySchema, jobCancelSchema])
export type JobAsk = z.output<typeof jobAskSchema>

export const jobAcceptSchema = z.object({ t: z.literal('accept') })

/** Refused before anything was computed; `code` is one of the error table. */
export const jobRejectSchema = z.object({
  t: z.literal('reject'), code: z.string().max(64), detail: z.string().max(1_024), retryAfterMs: countField.optional(),
})

export const jobBeatSchema = z.object({
  t: z.literal('beat'),
  state: z.enum(['queued', 'loading', 'running']),
  /** Place in the queue (1 is next), or the loaded part in thousandths. */
  at: countField.optional(),
})

/** Text as the engine made it; `tokens` is cumulative, so a lost count cannot pass unseen. */
export const jobChunkSchema = z.object({ t: z.literal('chunk'), text: z.string(), tokens: countField })

/** Proof of the work so far: `note` opens to a ProgressNote. */
export const jobProgressSchema = z.object({ t: z.literal('progress'), note: signedSchema })

export const jobEndSchema = z.object({
  t: z.literal('end'), finish: finishReasonSchema, usage: usageSchema,
  /** Opens to a ReceiptHalf. Absent on the relayed leg, where `receipt` is the finished one's id. */
  half: signedSchema.optional(),
  relayed: z.object({
    receiptId: idField, host: shortText, hostName: shortText, hub: shortText, durability: z.enum(['replicated', 'local']), costMicroCredits: countField,
  }).optional(),
})

/** The job broke after it was accepted. */
export const jobFailSchema = z.object({
  t: z.literal('fail'), code: z.string().max(64), detail: z.string().max(1_024), usage: usageSchema, half: signedSchema.optional(),
})

export const jobTellSchema = z.discriminatedUnion('t', [
  jobAcceptSchema, jobRejectSchema, jobBeatSchema, jobChunkSchema, jobProgressSchema, jobEndSchema, jobFailSchema,
])
export type JobTell = z.output<typeof jobTellSchema>

export const progressNoteSchema = z.object({
  v: z.literal(1), jobId: idField, n: countField, completionTokens: countField, atMs: countField,
})
export type ProgressNote = z.output<typeof progressNoteSchema>

/**
 * What an account asks of a hub, signed with the key behind the API key: the API key itself never leaves the machine
 * it was given to. `bodyHash` binds the signature to what is asked; a hub refuses a nonce that it has seen.
 */
export const accountRequestSchema = z.object({
  v: z.literal(1),
  network: z.string().max(64),
  /** The hub that is asked, so that another hub cannot replay it. */
  hub: publicKeyField,
  action: z.enum(['relay', 'ticket', 'settle', 'account', 'models', 'receipts', 'receipt', 'credits', 'statement', 'statementFile']),
  bodyHash: hashField,
  nonce: idField,
  sentAt: timeField,
})
export type AccountRequest = z.output<typeof accountRequestSchema>
