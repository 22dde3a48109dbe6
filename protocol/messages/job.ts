/**
 * The job protocol, one job at a time on a pooled stream.
 *
 * asking side → host: open, cancel
 * host → asking side: beat* while it waits for a slot, then reject, or accept and
 * (beat | placed | chunk | reasoning | tool | vectors | progress)* and exactly one of end | fail
 *
 * After `end`, `fail` or `reject` both sides may use the stream for the next job. A stream that ends without one of
 * them is a failure: an end of file never means "complete".
 */
import { z } from 'zod'
import { encode } from '../codec.ts'
import { detailedUsageSchema, finishReasonSchema, tokenIdField, tokenLogprobSchema, usageSchema, type AnswerDelta, type JobRequest } from '../completion.ts'
import { TriforceError } from '../errors.ts'
import { COMPLETION_TOKENS_MAX, JOB_OPTIONS_BYTES_MAX, JOB_REQUEST_BYTES_MAX, TOOL_CALLS_MAX } from '../limits.ts'
import { bytesField, countField, hashField, idField, microCreditsField, modelIdField, publicKeyField, shortText, timeField } from '../fields.ts'
import { routingWishesSchema } from '../routing.ts'
import { signedSchema } from '../signed.ts'
import { checkLabelSchema, vendorField } from './capacity.ts'

export const jobOpenSchema = z.object({
  t: z.literal('open'),
  ticket: signedSchema,
  /** DAG-CBOR of a CompletionRequest or an EmbeddingRequest; the ticket carries its hash. */
  request: bytesField,
})

/**
 * A hub is asked to place the job itself and to relay the stream; `authorization` opens to an AccountRequest whose
 * `bodyHash` is that of `request`, followed by `options` where it is there.
 */
export const jobRelaySchema = z.object({
  t: z.literal('relay'),
  authorization: signedSchema,
  request: bytesField,
  /** DAG-CBOR of JobOptions. */
  options: bytesField.refine((bytes) => bytes.byteLength <= JOB_OPTIONS_BYTES_MAX, `may have ${JOB_OPTIONS_BYTES_MAX} bytes`).optional(),
})

/** What travels beside a request and is not for its host. */
export const jobOptionsSchema = z.object({ routing: routingWishesSchema.optional() })
export type JobOptions = z.output<typeof jobOptionsSchema>

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

/** On the relayed leg: the hub asks this host now, the `attempts`th. `price`: µcr for 1,000 tokens; `remaining`: µcr that the account has left. */
export const jobPlacedSchema = z.object({
  t: z.literal('placed'), host: shortText, hostName: shortText, attempts: countField, model: modelIdField, vendor: vendorField.optional(),
  price: z.object({ prompt: microCreditsField, completion: microCreditsField }).optional(), remaining: microCreditsField.optional(),
  /** Of the weights; and why the host before did not answer, one of the error table. */
  digest: z.string().max(64).optional(), quantization: z.string().max(32).optional(), check: checkLabelSchema.optional(), after: z.string().max(64).optional(),
})

/** Text as the engine made it; `tokens` is cumulative, so a lost count cannot pass unseen. */
export const jobChunkSchema = z.object({
  t: z.literal('chunk'), text: z.string(), tokens: countField, logprobs: z.array(tokenLogprobSchema).optional(),
  ids: z.array(tokenIdField).max(COMPLETION_TOKENS_MAX).optional(),
})

/** What the model thinks before it answers. */
export const jobReasoningSchema = z.object({
  t: z.literal('reasoning'), text: z.string(), tokens: countField, signature: z.string().optional(), redacted: z.literal(true).optional(),
})

/** A piece of a tool call: the first of each `index` has its id and name. */
export const jobToolSchema = z.object({
  t: z.literal('tool'), index: z.number().int().min(0).max(TOOL_CALLS_MAX - 1), id: z.string().max(256).optional(), name: z.string().max(128).optional(),
  arguments: z.string(), tokens: countField,
})

/** Vectors of an embedding, one after the other: 32-bit floats, little-endian. */
export const jobVectorsSchema = z.object({ t: z.literal('vectors'), dimensions: countField, values: bytesField })

/** Proof of the work so far: `note` opens to a ProgressNote, `half` to the ReceiptHalf that counts where nothing comes after it. */
export const jobProgressSchema = z.object({ t: z.literal('progress'), note: signedSchema, half: signedSchema.optional() })

/** Hosts whose parts one answer can have: three at a hub, and as many at each hub that a consumer asks. */
const SERVED_PARTS_MAX = 16

export const jobEndSchema = z.object({
  t: z.literal('end'), finish: finishReasonSchema, usage: detailedUsageSchema,
  /** Opens to a ReceiptHalf. Absent on the relayed leg, where `receipt` is the finished one's id. */
  half: signedSchema.optional(),
  relayed: z.object({
    receiptId: idField, host: shortText, hostName: shortText, hub: shortText, durability: z.enum(['replicated', 'local']), costMicroCredits: countField,
    model: modelIdField, attempts: countField, remaining: microCreditsField.optional(),
    /** The account could pay for no more, so the answer ends with `length`. */
    stoppedBy: z.literal('credits').optional(),
    /** Hosts that broke off, with what came of each. */
    parts: z.array(z.object({ host: shortText, hostName: shortText, receiptId: idField.optional(), completionTokens: countField })).max(SERVED_PARTS_MAX).optional(),
  }).optional(),
})

/** The job broke after it was accepted. */
export const jobFailSchema = z.object({
  t: z.literal('fail'), code: z.string().max(64), detail: z.string().max(1_024), usage: usageSchema, half: signedSchema.optional(),
})

export const jobTellSchema = z.discriminatedUnion('t', [
  jobAcceptSchema, jobRejectSchema, jobBeatSchema, jobPlacedSchema, jobChunkSchema, jobReasoningSchema, jobToolSchema, jobVectorsSchema, jobProgressSchema, jobEndSchema,
  jobFailSchema,
])
export type JobTell = z.output<typeof jobTellSchema>

/** The frames that carry an answer. */
export type JobDeltaTell = Extract<JobTell, { t: 'chunk' | 'reasoning' | 'tool' }>

export function tellOfDelta(delta: AnswerDelta): JobDeltaTell {
  switch (delta.type) {
    case 'text':
      return {
        t: 'chunk', text: delta.text, tokens: delta.tokens, ...(delta.logprobs === undefined ? {} : { logprobs: [...delta.logprobs] }),
        ...(delta.ids === undefined ? {} : { ids: [...delta.ids] }),
      }
    case 'reasoning': {
      const { type: _, ...rest } = delta
      return { t: 'reasoning', ...rest }
    }
    case 'toolCall': {
      const { type: _, ...rest } = delta
      return { t: 'tool', ...rest }
    }
  }
}

export function deltaOfTell(frame: JobDeltaTell): AnswerDelta {
  switch (frame.t) {
    case 'chunk':
      return {
        type: 'text', text: frame.text, tokens: frame.tokens, ...(frame.logprobs === undefined ? {} : { logprobs: frame.logprobs }),
        ...(frame.ids === undefined ? {} : { ids: frame.ids }),
      }
    case 'reasoning':
      return {
        type: 'reasoning', text: frame.text, tokens: frame.tokens, ...(frame.signature === undefined ? {} : { signature: frame.signature }),
        ...(frame.redacted === undefined ? {} : { redacted: true }),
      }
    case 'tool':
      return {
        type: 'toolCall', index: frame.index, arguments: frame.arguments, tokens: frame.tokens, ...(frame.id === undefined ? {} : { id: frame.id }),
        ...(frame.name === undefined ? {} : { name: frame.name }),
      }
  }
}

/**
 * What both sides hash of an answer, piece by piece as it was sent. Text counts as it is, so that whoever has the text of
 * a plain answer can check its hash; other pieces are marked with a NUL, which no tokenizer puts at their beginning.
 */
export function hashedText(delta: AnswerDelta): string {
  switch (delta.type) {
    case 'text': return delta.text
    case 'reasoning': return `\0reasoning\0${delta.signature ?? ''}\0${delta.text}`
    case 'toolCall': return `\0tool\0${delta.index}\0${delta.id ?? ''}\0${delta.name ?? ''}\0${delta.arguments}`
  }
}

/** The same of vectors: what to hash before their bytes. */
export function hashedHead({ dimensions }: Pick<z.output<typeof jobVectorsSchema>, 'dimensions'>): string {
  return `\0vectors\0${dimensions}\0`
}

/** The bytes of a request as a job carries them. Throws BODY_TOO_LARGE where they do not fit a frame: images and tools add up. */
export function encodeRequest(request: JobRequest): Uint8Array {
  const bytes = encode(request)
  if (bytes.byteLength > JOB_REQUEST_BYTES_MAX) {
    throw new TriforceError('BODY_TOO_LARGE', { bytes: bytes.byteLength }, { detail: `the request has ${bytes.byteLength} bytes; ${JOB_REQUEST_BYTES_MAX} are the most that travel to a host` })
  }
  return bytes
}

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
  action: z.enum(['relay', 'ticket', 'settle', 'account', 'models', 'route', 'receipts', 'receipt', 'credits', 'statement', 'statementFile', 'keys', 'addKey', 'revokeKey', 'usage']),
  bodyHash: hashField,
  nonce: idField,
  sentAt: timeField,
})
export type AccountRequest = z.output<typeof accountRequestSchema>
