/**
 * The control protocol: one question, one answer, again and again on a pooled stream.
 * `ping` is the heartbeat. Everything else an account asks of a hub: `authorization` opens to an AccountRequest whose
 * `action` says what `body` is, and whose signature binds both to the key behind the API key. `contributor` and `speed`:
 * see contributor.ts.
 */
import { z } from 'zod'
import { usageSchema, finishReasonSchema } from '../completion.ts'
import { bytesField, countField, hashField, idField, microCreditsField, modelIdField, publicKeyField, shortText, timeField } from '../fields.ts'
import { routingWishesSchema } from '../routing.ts'
import { keyTermsSchema } from '../key-terms.ts'
import { routeViewSchema } from './route.ts'
import { signedSchema } from '../signed.ts'
import { checkLabelSchema, modelCapabilitySchema, vendorField } from './capacity.ts'
import { catalogueAskSchema } from './catalogue.ts'
import { checksAskSchema } from './checks.ts'
import { contributorAskSchema, speedAskSchema } from './contributor.ts'

/** Models in one list. 4,096 of about 300 bytes stay below FRAME_BYTES_MAX. */
export const MODELS_LISTED_MAX = 4_096

/** API keys of one account. */
export const KEYS_LISTED_MAX = 1_000

/** Rows of use in one answer, one for each day, model and key: 10,000 of about 200 bytes stay below FRAME_BYTES_MAX. */
export const USAGE_ROWS_MAX = 10_000

/** Receipts in one list. */
export const RECEIPTS_LISTED_MAX = 100

export const controlAskSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal('ping') }),
  z.object({ t: z.literal('account'), authorization: signedSchema, body: bytesField }),
  /** Between hubs. */
  catalogueAskSchema,
  contributorAskSchema,
  speedAskSchema,
  /** Between hubs. */
  checksAskSchema,
])
export type ControlAsk = z.output<typeof controlAskSchema>
/** What is asked for in earnest; `ping` is answered by itself. */
export type ControlQuestion = Exclude<ControlAsk, { t: 'ping' }>

export const controlTellSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal('pong') }),
  z.object({ t: z.literal('ok'), body: bytesField }),
  /** `code` is one of the error table. */
  z.object({ t: z.literal('error'), code: z.string().max(64), detail: z.string().max(1_024), retryAfterMs: countField.optional() }),
])
export type ControlTell = z.output<typeof controlTellSchema>

/** µcr for 1,000 tokens. */
export const priceSchema = z.object({ prompt: microCreditsField, completion: microCreditsField })

/** A receipt for people and programs; every value is taken from the signed documents. */
export const receiptSummarySchema = z.object({
  /** `rcpt_` and 32 hexadecimal digits. */
  id: z.string().max(64),
  jobId: z.string().max(64),
  model: modelIdField,
  /** Peer ids. */
  contributor: shortText,
  hub: shortText,
  account: z.string().max(64),
  promptTokens: countField,
  completionTokens: countField,
  finish: finishReasonSchema,
  observedMs: countField,
  signedBy: z.array(z.enum(['contributor', 'hub'])).max(2),
  loggedAt: timeField,
})
export type ReceiptSummary = z.output<typeof receiptSummarySchema>

/** A place in a list that runs from new to old. */
const cursorField = z.object({ at: timeField, id: idField })

/** One entry of an account's money; amounts in µcr. */
export const statementLineSchema = z.object({
  id: idField, kind: z.string().max(32), at: timeField, hub: countField, epoch: countField, seq: countField,
  /** What came in (positive) or went out (negative), and what was held more (positive) or less. */
  amount: microCreditsField, held: microCreditsField,
  /** Of a day's quota; negative where a refund gave them back. */
  quotaTokens: z.number().int().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER), why: shortText, hold: idField.optional(), receipt: idField.optional(),
})
export type StatementLineWire = z.output<typeof statementLineSchema>

/** A statement file: the limit leaves room in a frame of FRAME_BYTES_MAX. */
export const STATEMENT_FILE_CHARS_MAX = 3 * 1024 * 1024

/** The bodies of each action: `ask` goes to the hub, `tell` comes back. */
export const accountActions = {
  account: {
    ask: z.object({}),
    tell: z.object({ account: idField, name: shortText, tier: shortText, balance: microCreditsField, terms: keyTermsSchema.optional() }),
  },
  /** API keys of the account, without those of its machines; `today` and `total` of what a budget counts. */
  keys: {
    ask: z.object({}),
    tell: z.object({
      keys: z.array(z.object({
        publicKey: publicKeyField, name: shortText, createdAt: timeField, terms: keyTermsSchema.optional(),
        today: microCreditsField.optional(), total: microCreditsField.optional(),
      })).max(KEYS_LISTED_MAX),
    }),
  },
  /** The key is made at the caller; only its public half is told. */
  addKey: {
    ask: z.object({ publicKey: publicKeyField, name: z.string().min(1).max(64), terms: keyTermsSchema.optional() }),
    tell: z.object({}),
  },
  revokeKey: {
    ask: z.object({ publicKey: publicKeyField }),
    tell: z.object({}),
  },
  /** `from` inclusive, `to` exclusive; `complete` is false where not all was read. */
  usage: {
    ask: z.object({ from: timeField, to: timeField }),
    tell: z.object({
      rows: z.array(z.object({
        day: countField, model: modelIdField, key: shortText, requests: countField, promptTokens: countField, completionTokens: countField, cost: microCreditsField,
      })).max(USAGE_ROWS_MAX),
      complete: z.boolean(),
    }),
  },
  /** `resting`: in place of what is offered, what is not because every host of it is paused or leaving. */
  models: {
    ask: z.object({ resting: z.boolean().optional() }),
    tell: z.object({
      models: z.array(z.object({
        id: modelIdField, hosts: countField, contextTokens: countField, capabilities: z.array(modelCapabilitySchema).max(16),
        quantizations: z.array(z.string().max(32)).max(16), demo: z.boolean(), firstSeenAt: timeField,
        /** Of a vendor's model: who sells it, its name for people, most tokens of an answer, and the price of 1,000 tokens. */
        vendor: vendorField.optional(), name: shortText.optional(), outputTokensMax: countField.optional(), price: priceSchema.optional(),
      })).max(MODELS_LISTED_MAX),
    }),
  },
  /** Where a request would go now; nothing is placed. */
  route: {
    ask: z.object({ model: modelIdField, needs: z.array(modelCapabilitySchema).max(16), routing: routingWishesSchema.optional() }),
    tell: routeViewSchema,
  },
  receipts: {
    ask: z.object({ limit: z.number().int().min(1).max(RECEIPTS_LISTED_MAX), before: timeField.optional(), after: cursorField.optional() }),
    tell: z.object({ receipts: z.array(receiptSummarySchema).max(RECEIPTS_LISTED_MAX) }),
  },
  /** What the account has, and where; amounts in µcr. `tokensPerDay` is absent where there is no bound. */
  credits: {
    ask: z.object({}),
    tell: z.object({
      account: idField, name: shortText, tier: shortText, available: microCreditsField, held: microCreditsField, inflight: microCreditsField,
      frozen: microCreditsField, back: microCreditsField, debt: microCreditsField, day: countField, tokensPerDay: countField.optional(),
      usedTokens: countField, earnedToday: microCreditsField, earnedUnpaid: microCreditsField, earnedPaid: microCreditsField,
    }),
  },
  /** Newest first; `from` inclusive, `to` exclusive. */
  statement: {
    ask: z.object({ limit: z.number().int().min(1).max(100), from: timeField.optional(), to: timeField.optional(), after: cursorField.optional() }),
    tell: z.object({ lines: z.array(statementLineSchema).max(100) }),
  },
  statementFile: {
    ask: z.object({}),
    tell: z.object({ file: z.string().max(STATEMENT_FILE_CHARS_MAX) }),
  },
  receipt: {
    ask: z.object({ id: idField }),
    tell: z.object({ file: z.string().max(256 * 1024) }),
  },
  /** A ticket for a job that the consumer streams straight from the contributor. */
  ticket: {
    ask: z.object({
      model: modelIdField, requestHash: hashField, tokensMax: countField, exclude: z.array(publicKeyField).max(8),
      /** Those of `exclude` that did not answer, or broke off. The hub takes nobody's word for it: it looks itself. */
      unanswered: z.array(publicKeyField).max(8).optional(),
      /** What the host must be able to do: the hub does not see the request. */
      needs: z.array(modelCapabilitySchema).max(16),
      routing: routingWishesSchema.optional(),
      /** Has the beginning of the prompt in its memory. */
      affine: publicKeyField.optional(),
    }),
    /** Without `ticket` the job is to be relayed: it costs credits, which a hub counts as it passes the answer on, or goes to another model. */
    tell: z.object({
      ticket: signedSchema.optional(), hostName: shortText, addresses: z.array(z.string().max(256)).max(16),
      /** Of the weights as the host announces them, and what its checks have shown. */
      digest: z.string().max(64).optional(), quantization: z.string().max(32).optional(), check: checkLabelSchema.optional(),
    }),
  },
  /** The end of such a job: the contributor's half, and what the consumer saw. */
  settle: {
    ask: z.object({
      ticket: signedSchema, half: signedSchema.optional(), observedMs: countField, observedUsage: usageSchema,
      outputHash: hashField, finish: finishReasonSchema,
      /** How the consumer reached the contributor; absent: `direct`. */
      path: z.enum(['direct', 'relay']).optional(),
    }),
    tell: z.object({ receiptId: idField, durability: z.enum(['replicated', 'local']), costMicroCredits: microCreditsField }),
  },
} as const
export type AccountAction = keyof typeof accountActions
