import { expect } from 'chai'
import type { z } from 'zod'
import { decode, encode } from '../../../protocol/codec.ts'
import { completionRequestSchema, type AnswerDelta } from '../../../protocol/completion.ts'
import { COMPLETION_TOKENS_MAX, CONTRIBUTOR_ORDER_BYTES_MAX, FRAME_BYTES_MAX, MESSAGES_MAX, MODEL_ID_CHARS_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, SPEED_BYTES_MAX } from '../../../protocol/limits.ts'
import { capacitySchema } from '../../../protocol/messages/capacity.ts'
import { contributorOrderSchema, lendingConsentSchema } from '../../../protocol/messages/contributor.ts'
import { accountActions, controlAskSchema, controlTellSchema, KEYS_LISTED_MAX, MODELS_LISTED_MAX } from '../../../protocol/messages/control.ts'
import {
  accountRequestSchema, deltaOfTell, hashedText, jobAskSchema, jobTellSchema, progressNoteSchema, tellOfDelta, type JobDeltaTell,
} from '../../../protocol/messages/job.ts'
import { decodeLedgerMessage, encodeLedgerMessage, ledgerMessageSchema } from '../../../protocol/messages/ledger.ts'
import { checkReportSchema, checksAskSchema, checksTellSchema, checkVerdictSchema, drawSeedSchema, VERDICTS_TOLD_MAX } from '../../../protocol/messages/checks.ts'
import { catalogueAskSchema } from '../../../protocol/messages/catalogue.ts'
import { contributorAskSchema, speedAskSchema } from '../../../protocol/messages/contributor.ts'
import { LOG_MESSAGE_FRAMES_MAX } from '../../../protocol/messages/ledger-fields.ts'
import { observationSchema, receiptHalfSchema, receiptIdOf, signedHalfSchema, ticketHashOf } from '../../../protocol/messages/receipt.ts'
import { ROUTE_HOSTS_MAX } from '../../../protocol/messages/route.ts'
import { ticketSchema } from '../../../protocol/messages/ticket.ts'
import { signDocument, signedSchema } from '../../../protocol/signed.ts'
import { codeOf } from '../../support/code-of.ts'
import { aCapacity, aModel, aRequest } from '../../support/completions.ts'
import { aMachine } from '../../support/lending-world.ts'
import { testKey } from '../../support/federation.ts'

const b16 = new Uint8Array(16).fill(1)
const b32 = new Uint8Array(32).fill(2)
const b64 = new Uint8Array(64).fill(3)
const signed = signDocument(testKey().signer, 'ticket', { n: 1 })
const usage = { promptTokens: 1, completionTokens: 2 }
const ticket = {
  v: 1, network: 'net', jobId: b16, hub: b32, contributor: b32, account: b16, model: 'tiny', requestHash: b32, tokensMax: 10, msMax: 10, priority: 0, priceRev: 0, classRev: 0,
  issuedAt: 1, expiresAt: 2,
}
const half = { v: 1, ticketHash: b32, jobId: b16, modelDigest: 'ab'.repeat(32), device: 'cpu', boot: b16, startMs: 0, endMs: 1, usage, outputHash: b32, finish: 'stop' }
const observation = { observedMs: 1, usage, outputHash: b32, finish: 'stop', path: 'hub', endedAt: 1 }
const accountRequest = { v: 1, network: 'net', hub: b32, action: 'account', bodyHash: b32, nonce: b16, sentAt: 1 }
const log = { hub: 0, epoch: 1 }
const settle = { ticket: signed, observedMs: 1, observedUsage: usage, outputHash: b32, finish: 'stop' }

type Value = Record<string, unknown>
interface Vector {
  readonly schema: z.ZodType
  /** Values that must pass and come back as they are. */
  readonly good: readonly Value[]
  /** What is changed in the first good value so that it must be refused. */
  readonly bad: Readonly<Record<string, Value>>
}

const vectors: Readonly<Record<string, Vector>> = {
  signed: { schema: signedSchema, good: [signed], bad: {
    'short key': { key: new Uint8Array(31) }, 'long signature': { signature: new Uint8Array(65) }, 'body as text': { body: 'x' }, 'batch of one': { batch: { index: 0, size: 1, path: [b32] } },
    'batch without a path': { batch: { index: 0, size: 2, path: [] } }, 'path too long': { batch: { index: 0, size: 2, path: Array.from({ length: 11 }, () => b32) } },
    'batch too large': { batch: { index: 0, size: 1_025, path: [b32] } }, 'something else in the batch': { batch: { index: 0, size: 2, path: [b32], root: b32 } },
  } },
  capacity: {
    schema: capacitySchema, good: [aCapacity({ peer: b32, gpus: [{ name: 'RTX', vramBytes: 1, vramFreeBytes: 0 }] }, 1)],
    bad: {
      'newer version': { v: 2 }, 'short key': { peer: b16 }, 'long name': { name: 'x'.repeat(65) }, 'negative number': { seq: -1 }, 'no integer': { seq: 1.5 },
      'number that a double does not hold': { seq: 2 ** 53 }, 'unknown mode': { mode: 'boss' }, 'too many gpus': { gpus: Array.from({ length: 17 }, () => ({ name: '', vramBytes: 0, vramFreeBytes: 0 })) },
      'too many models': { models: Array.from({ length: 33 }, () => aModel()) }, 'model id with a space': { models: [aModel({ id: 'a b' })] },
      'long model id': { models: [aModel({ id: 'x'.repeat(MODEL_ID_CHARS_MAX + 1) })] }, 'digest in capitals': { models: [aModel({ digest: 'AB'.repeat(32) })] },
      'negative speed': { models: [aModel({ tokensPerSecond: -1 })] }, 'missing slots': { slots: undefined },
    },
  },
  'control ping': { schema: controlAskSchema, good: [{ t: 'ping' }, { t: 'account', authorization: signed, body: b16 }], bad: { 'unknown question': { t: 'shutdown' }, 'no question': { t: undefined } } },
  'control account': { schema: controlAskSchema, good: [{ t: 'account', authorization: signed, body: b16 }], bad: { 'no authorization': { authorization: undefined }, 'body as text': { body: 'x' } } },
  'contributor order': {
    schema: contributorOrderSchema,
    good: [
      { do: 'unregister', v: 1, network: 'net', sentAt: 1, id: b16, revoke: false }, { do: 'list', v: 1, network: 'net', sentAt: 1 }, { do: 'status', v: 1, network: 'net', sentAt: 1 },
      { do: 'register', v: 1, network: 'net', sentAt: 1, startedAt: 1, name: 'box', hardware: aMachine(), availability: { hoursPerDay: 8, schedule: '18:00-02:00' }, models: ['tiny'] },
      { do: 'announce', v: 1, network: 'net', sentAt: 1, name: 'box', hardware: aMachine({ gpus: [], uploadMbits: 94.2 }), availability: {}, models: [] },
    ],
    bad: { 'newer version': { v: 2 }, 'long network': { network: 'x'.repeat(65) }, 'short id': { id: new Uint8Array(15) }, 'revoke as a word': { revoke: 'yes' }, 'unknown order': { do: 'steal' } },
  },
  'lending consent': { schema: lendingConsentSchema, good: [{ v: 1, network: 'net', node: b32, sentAt: 1 }], bad: { 'short key': { node: b16 }, 'no time': { sentAt: undefined } } },
  'control answer': {
    schema: controlTellSchema, good: [{ t: 'error', code: 'NO_HOST', detail: '', retryAfterMs: 1 }, { t: 'error', code: 'X', detail: '' }, { t: 'pong' }, { t: 'ok', body: b16 }],
    bad: { 'long code': { code: 'x'.repeat(65) }, 'long detail': { detail: 'x'.repeat(1_025) }, 'negative time': { retryAfterMs: -1 } },
  },
  'job open': { schema: jobAskSchema, good: [{ t: 'open', ticket: signed, request: b16 }, { t: 'cancel' }, { t: 'relay', authorization: signed, request: b16 }], bad: { 'no ticket': { ticket: undefined }, 'an answer': { t: 'accept' } } },
  'job relay': { schema: jobAskSchema, good: [{ t: 'relay', authorization: signed, request: b16 }], bad: { 'unsigned': { authorization: { body: b16 } } } },
  'job reject': { schema: jobTellSchema, good: [{ t: 'reject', code: 'QUEUE_FULL', detail: '' }, { t: 'accept' }], bad: { 'long detail': { detail: 'x'.repeat(1_025) }, 'a question': { t: 'open' } } },
  'job beat': { schema: jobTellSchema, good: [{ t: 'beat', state: 'loading', at: 5 }, { t: 'beat', state: 'running' }], bad: { 'unknown state': { state: 'placing' }, 'negative place': { at: -1 } } },
  'job reasoning': {
    schema: jobTellSchema, good: [{ t: 'reasoning', text: 'hm', tokens: 1, signature: 's' }, { t: 'reasoning', text: 'c', tokens: 1, redacted: true }],
    bad: { 'no tokens': { tokens: undefined }, 'redacted by a word': { redacted: 'yes' }, 'signature as bytes': { signature: b16 } },
  },
  'job tool': {
    schema: jobTellSchema, good: [{ t: 'tool', index: 0, id: 'c', name: 'f', arguments: '', tokens: 1 }, { t: 'tool', index: 127, arguments: '{', tokens: 1 }],
    bad: { 'index above the limit': { index: 128 }, 'long id': { id: 'x'.repeat(257) }, 'arguments as an object': { arguments: {} } },
  },
  'job vectors': {
    schema: jobTellSchema, good: [{ t: 'vectors', dimensions: 4, values: b16 }], bad: { 'values as a list': { values: [1, 2] }, 'dimensions below 0': { dimensions: -1 } },
  },
  'job chunk': { schema: jobTellSchema, good: [{ t: 'chunk', text: 'Hé\u{1f600}', tokens: 3 }], bad: { 'text as bytes': { text: b16 }, 'tokens below 0': { tokens: -1 }, 'tokens of no number': { tokens: 'many' } } },
  'job progress': { schema: jobTellSchema, good: [{ t: 'progress', note: signed }], bad: { 'no note': { note: undefined } } },
  'job end': {
    schema: jobTellSchema,
    good: [{ t: 'end', finish: 'stop', usage, half: signed }, { t: 'end', finish: 'cancelled', usage, relayed: { receiptId: b16, host: 'h', hostName: 'n', hub: 'u', durability: 'local', costMicroCredits: 0, model: 'm', attempts: 1 } }],
    bad: { 'unknown end': { finish: 'bored' }, 'usage below 0': { usage: { promptTokens: -1, completionTokens: 0 } }, 'no usage': { usage: undefined } },
  },
  'job placed': {
    schema: jobTellSchema, good: [{ t: 'placed', host: 'h', hostName: 'n', attempts: 1, model: 'm' }, { t: 'placed', host: 'h', hostName: 'n', attempts: 2, model: 'm', digest: 'd', after: 'HOST_LOST' }],
    bad: { 'no host': { host: undefined }, 'no model': { model: '' } },
  },
  'job fail': { schema: jobTellSchema, good: [{ t: 'fail', code: 'ENGINE_FAILED', detail: '', usage }, { t: 'fail', code: 'X', detail: '', usage, half: signed }], bad: { 'no usage': { usage: undefined } } },
  'progress note': { schema: progressNoteSchema, good: [{ v: 1, jobId: b16, n: 1, completionTokens: 64, atMs: 9 }], bad: { 'long id': { jobId: b32 }, 'newer version': { v: 2 } } },
  'account request': { schema: accountRequestSchema, good: [accountRequest], bad: { 'unknown action': { action: 'mint' }, 'short hub': { hub: b16 }, 'short hash': { bodyHash: b16 }, 'long nonce': { nonce: b32 } } },
  ticket: { schema: ticketSchema, good: [ticket], bad: { 'newer version': { v: 2 }, 'short account': { account: new Uint8Array(15) }, 'time below 0': { expiresAt: -1 }, 'long network': { network: 'x'.repeat(65) } } },
  'receipt half': { schema: receiptHalfSchema, good: [half, { ...half, devices: [half.device, 'b'] }, { ...half, devices: Array.from({ length: 16 }, () => half.device) }], bad: { 'one in a list': { devices: [half.device] }, 'too many devices': { devices: Array.from({ length: 17 }, () => half.device) }, 'digest of no hash': { modelDigest: 'x' }, 'long device': { device: 'x'.repeat(257) }, 'short hash': { outputHash: b16 } } },
  observation: { schema: observationSchema, good: [observation], bad: { 'unknown path': { path: 'moon' }, 'short hash': { outputHash: b16 }, 'something else': { hub: b32 } } },
  'signed half': { schema: signedHalfSchema, good: [{ body: signed.body, signature: signed.signature }], bad: { 'short signature': { signature: b32 }, 'no body': { body: undefined } } },
  'ask for a catalogue': { schema: catalogueAskSchema, good: [{ t: 'catalogue', vendor: 'openai', revision: b16, from: 0 }], bad: { 'short revision': { revision: new Uint8Array(15) }, 'from below 0': { from: -1 } } },
  'draw seed': { schema: drawSeedSchema, good: [{ v: 1, network: 'net', hour: 500_000 }], bad: { 'newer version': { v: 2 }, 'half an hour': { hour: 0.5 } } },
  'check verdict': {
    schema: checkVerdictSchema, good: [{ v: 1, network: 'net', contributor: b32, state: 'failed', why: 'answer', sentAt: 1 }, { v: 1, network: 'net', contributor: b32, state: 'passed', sentAt: 1 }],
    bad: { 'short key': { contributor: b16 }, 'unknown state': { state: 'suspected' }, 'unknown reason': { why: 'looks' } },
  },
  'ask for checks': {
    schema: checksAskSchema, good: [{ t: 'checks', hour: 1, nextHour: 2, commitment: b32, verdicts: [signed] }],
    bad: { 'short commitment': { commitment: b16 }, 'too many verdicts': { verdicts: Array.from({ length: VERDICTS_TOLD_MAX + 1 }, () => signed) } },
  },
  'tell of checks': { schema: checksTellSchema, good: [{ report: { seed: signed, checked: [{ jobId: b16, contributor: b32, end: 'good' }] } }, {}], bad: { 'report without its seed': { report: { checked: [] } } } },
  'check report': { schema: checkReportSchema, good: [{ seed: signed, checked: [] }], bad: { 'unknown end': { checked: [{ jobId: b16, contributor: b32, end: 'fine' }] }, 'no seed': { seed: undefined } } },
  'ask to lend': { schema: contributorAskSchema, good: [{ t: 'contributor', order: signed }, { t: 'contributor', order: signed, consent: signed }], bad: { 'no order': { order: undefined }, 'order above the limit': { order: { ...signed, body: new Uint8Array(CONTRIBUTOR_ORDER_BYTES_MAX + 1) } } } },
  'ask for speed': {
    schema: speedAskSchema, good: [{ t: 'speed', data: new Uint8Array(3) }], bad: { 'no bytes': { data: 'x' }, 'too many': { data: new Uint8Array(SPEED_BYTES_MAX + 1) } },
  },
  'completion request': {
    schema: completionRequestSchema,
    good: [{ ...aRequest() }, { ...aRequest({ maxTokens: COMPLETION_TOKENS_MAX, temperature: 0, topP: 1, seed: 0, stop: ['a'], responseFormat: { type: 'json_schema', schema: '{}' } }) }],
    bad: {
      'no message': { messages: [] }, 'too many messages': { messages: Array.from({ length: MESSAGES_MAX + 1 }, () => ({ role: 'user', content: '' })) },
      'too many characters together': { messages: [{ role: 'user', content: 'x'.repeat(PROMPT_CHARS_MAX) }, { role: 'user', content: 'x' }] },
      'unknown role': { messages: [{ role: 'root', content: '' }] }, 'too many tokens': { maxTokens: COMPLETION_TOKENS_MAX + 1 }, 'no tokens': { maxTokens: 0 },
      'too hot': { temperature: 2.1 }, 'large seed': { seed: 2 ** 32 }, 'five stops': { stop: ['a', 'b', 'c', 'd', 'e'] }, 'empty stop': { stop: [''] },
      'large schema': { responseFormat: { type: 'json_schema', schema: 'x'.repeat(SCHEMA_BYTES_MAX + 1) } }, 'unknown format': { responseFormat: { type: 'xml' } },
    },
  },
  'ledger hello': {
    schema: ledgerMessageSchema, good: [{ t: 'hello', v: 1, network: 'net', heads: [{ log, no: 1, hash: b32 }] }],
    bad: { 'newer version': { v: 2 }, 'unknown hub': { heads: [{ log: { hub: 3, epoch: 0 }, no: 1, hash: b32 }] }, 'too many heads': { heads: Array.from({ length: 193 }, () => ({ log, no: 1, hash: b32 })) } },
  },
  'ledger frames': {
    schema: ledgerMessageSchema, good: [{ t: 'frames', log, frames: [b32] }],
    bad: { 'none': { frames: [] }, 'too many': { frames: Array.from({ length: LOG_MESSAGE_FRAMES_MAX + 1 }, () => b16) }, 'too long': { frames: [new Uint8Array(300_000)] }, 'large epoch': { log: { hub: 0, epoch: 2 ** 32 } } },
  },
  'ledger want': { schema: ledgerMessageSchema, good: [{ t: 'want', log, from: 1, bytesMax: 1 }], bad: { 'from 0': { from: 0 }, 'no room': { bytesMax: 0 } } },
  'ledger ack': { schema: ledgerMessageSchema, good: [{ t: 'ack', log, no: 7 }], bad: { 'number 0': { no: 0 }, 'unknown field in the log': { log: { ...log, more: 1 } } } },
  'ledger rightsAsk': {
    schema: ledgerMessageSchema, good: [{ t: 'rightsAsk', request: b16, log: { hub: 2, epoch: 0 }, account: b16, unit: 0, min: 1n, want: 2n ** 63n - 1n }, { t: 'rightsAsk', request: b16, log: { hub: 2, epoch: 0 }, account: b16, unit: 20_000, min: 1n, want: 2n }],
    bad: { 'negative': { min: -1n }, 'too much': { want: 2n ** 63n }, 'half a unit': { unit: 0.5 }, 'short account': { account: b16.subarray(1) } },
  },
  'ledger rightsNone': { schema: ledgerMessageSchema, good: [{ t: 'rightsNone', request: b16, have: 0n }], bad: { 'a debt': { have: -1n } } },
  'ledger ask': {
    schema: ledgerMessageSchema,
    good: [
      { t: 'ask', id: b16, request: { do: 'grant', account: b16, amount: 5n, source: 'welcome', approved: b16 } },
      { t: 'ask', id: b16, request: { do: 'purchase', account: b16, amount: 5n, payment: 'pi_1', product: 'pack' } },
      { t: 'ask', id: b16, request: { do: 'chargeback', account: b16, amount: 5n, payment: 'pi_1' } },
      { t: 'ask', id: b16, request: { do: 'setTier', account: b16, tier: 'plus' } },
    ],
    bad: { 'unknown request': { request: { do: 'steal', account: b16 } }, 'long source': { request: { do: 'grant', account: b16, amount: 5n, source: 'x'.repeat(257) } } },
  },
  'ledger answer': {
    schema: ledgerMessageSchema,
    good: [{ t: 'answer', id: b16, done: { hub: 1, epoch: 2, frame: 1, seq: 3, known: false } }, { t: 'answer', id: b16, error: { code: 'ENTRY_CONFLICT', detail: 'no', retryAfterMs: 5 } }],
    bad: { 'unknown hub': { done: { hub: 3, epoch: 2, frame: 1, seq: 3, known: false } } },
  },
  'ledger sealAsk': { schema: ledgerMessageSchema, good: [{ t: 'sealAsk', log, forced: false }], bad: { 'no log': { log: undefined } } },
  'ledger sealPromise': { schema: ledgerMessageSchema, good: [{ t: 'sealPromise', document: signed }], bad: { 'no signature': { document: { ...signed, signature: b32 } } } },
  'ledger sealCertificate': {
    schema: ledgerMessageSchema, good: [{ t: 'sealCertificate', log, signatures: [signed, signed] }], bad: { 'nobody': { signatures: [] }, 'three': { signatures: [signed, signed, signed] } },
  },
  'ledger orphans': {
    schema: ledgerMessageSchema, good: [{ t: 'orphans', log, from: 1, frames: [], last: true, lost: true }],
    bad: { 'from 0': { from: 0 }, 'too many': { frames: Array.from({ length: LOG_MESSAGE_FRAMES_MAX + 1 }, () => b16) } },
  },
  'ledger recall': { schema: ledgerMessageSchema, good: [{ t: 'recall', question: 0 }], bad: { 'no question': { question: undefined } } },
  'ledger recalled': {
    schema: ledgerMessageSchema, good: [{ t: 'recalled', question: 1, ends: [] }, { t: 'recalled', question: 1, ends: [{ log, no: 1 }] }],
    bad: { 'frame 0': { ends: [{ log, no: 0 }] }, 'too many': { ends: Array.from({ length: 129 }, () => ({ log, no: 1 })) } },
  },
  'ledger fork': {
    schema: ledgerMessageSchema, good: [{ t: 'fork', log, no: 1, first: { header: b32, signature: b64 }, second: { header: b32, signature: b64 } }],
    bad: { 'large header': { first: { header: new Uint8Array(1_025), signature: b64 } } },
  },
  'ledger checkpoint': { schema: ledgerMessageSchema, good: [{ t: 'checkpoint', body: b32, signature: b64 }], bad: { 'large': { body: new Uint8Array(65_537) }, 'unsigned': { signature: b32 } } },
  'ledger cosign': { schema: ledgerMessageSchema, good: [{ t: 'cosign', round: 1, signature: b64 }], bad: { 'unsigned': { signature: b32 } } },
  'ledger final': {
    schema: ledgerMessageSchema, good: [{ t: 'final', body: b32, signatures: [{ hub: 0, signature: b64 }, { hub: 2, signature: b64 }] }],
    bad: { 'one signature': { signatures: [{ hub: 0, signature: b64 }] } },
  },
  'ask account': { schema: accountActions.account.ask, good: [{}], bad: {} },
  'tell account': { schema: accountActions.account.tell, good: [{ account: b16, name: 'n', tier: 'free', balance: '-12345678901234567890' }], bad: { 'balance as a number': { balance: 5 }, 'balance of no number': { balance: '1.5' }, 'endless balance': { balance: '1'.repeat(21) } } },
  'ask route': {
    schema: accountActions.route.ask, good: [{ model: 'tiny', needs: ['chat'] }, { model: 'tiny', needs: [], routing: { privacy: 'any' } }],
    bad: { 'unknown capability': { needs: ['magic'] }, 'empty model': { model: '' } },
  },
  'tell route': {
    schema: accountActions.route.tell,
    good: [
      { known: 0, candidates: [], leftOut: [] },
      {
        known: 2, leftOut: [{ model: 'tiny', peer: 'p', name: 'n', reason: 'draining' }],
        candidates: [{ model: 'tiny', peer: 'p', name: 'n', vendor: 'groq', hub: true, privacy: 'cloud', slots: 1, load: 0, loaded: true, tokensPerSecond: 0, expectedMs: 12_800, coolingDown: false, because: 'b' }],
      },
    ],
    bad: { 'more hosts than ROUTE_HOSTS_MAX': { leftOut: Array.from({ length: ROUTE_HOSTS_MAX + 1 }, () => ({ model: 'tiny', peer: 'p', name: 'n', reason: 'draining' })) }, 'known below 0': { known: -1 } },
  },
  'ask models': { schema: accountActions.models.ask, good: [{}], bad: {} },
  'tell models': {
    schema: accountActions.models.tell, good: [{ models: [{ id: 'm', hosts: 1, contextTokens: 1, capabilities: ['chat'], quantizations: ['Q8'], demo: false, firstSeenAt: 1 }] }],
    bad: { 'too many': { models: Array.from({ length: MODELS_LISTED_MAX + 1 }, () => ({ id: 'm', hosts: 1, contextTokens: 1, capabilities: [], quantizations: [], demo: false, firstSeenAt: 1 })) } },
  },
  'ask credits': { schema: accountActions.credits.ask, good: [{}], bad: {} },
  'tell credits': {
    schema: accountActions.credits.tell,
    good: [{
      account: b16, name: 'n', tier: 'free', available: '-1', held: '0', inflight: '0', frozen: '0', back: '0', debt: '12345678901234567890', day: 20_000,
      tokensPerDay: 10_000, usedTokens: 1, earnedToday: '0', earnedUnpaid: '0', earnedPaid: '0',
    }],
    bad: { 'held as a number': { held: 5 }, 'debt of no number': { debt: '1.5' }, 'a day before the first': { day: -1 }, 'half a token': { usedTokens: 0.5 } },
  },
  'ask statement': {
    schema: accountActions.statement.ask, good: [{ limit: 100 }, { limit: 1, from: 5, to: 6, after: { at: 7, id: b16 } }],
    bad: { 'none': { limit: 0 }, 'too many': { limit: 101 }, 'a place without an id': { after: { at: 7 } } },
  },
  'tell statement': {
    schema: accountActions.statement.tell,
    good: [{ lines: [{ id: b16, kind: 'Settle', at: 5, hub: 0, epoch: 1, seq: 2, amount: '-7', held: '-9', quotaTokens: -3, why: 'used', hold: b16, receipt: b16 }] }],
    bad: {
      'too many': { lines: Array.from({ length: 101 }, () => ({ id: b16, kind: 'Grant', at: 5, hub: 0, epoch: 1, seq: 2, amount: '7', held: '0', quotaTokens: 0, why: '' })) },
      'an amount as a number': { lines: [{ id: b16, kind: 'Grant', at: 5, hub: 0, epoch: 1, seq: 2, amount: 7, held: '0', quotaTokens: 0, why: '' }] },
    },
  },
  'ask statementFile': { schema: accountActions.statementFile.ask, good: [{}], bad: {} },
  'tell statementFile': {
    schema: accountActions.statementFile.tell, good: [{ file: '{}' }],
    bad: { 'endless': { file: 'x'.repeat(FRAME_BYTES_MAX) }, 'not text': { file: 5 } },
  },
  'ask keys': { schema: accountActions.keys.ask, good: [{}], bad: {} },
  'tell keys': {
    schema: accountActions.keys.tell,
    good: [{ keys: [{ publicKey: b32, name: 'ci', createdAt: 1, terms: { scopes: ['inference'], models: ['openai/*'], dayBudget: 5n, totalBudget: 2n ** 62n, expiresAt: 5, privacy: 'own' }, today: '1', total: '2' }] }, { keys: [] }],
    bad: { 'too many': { keys: Array.from({ length: KEYS_LISTED_MAX + 1 }, () => ({ publicKey: b32, name: 'ci', createdAt: 1 })) }, 'an unknown limit': { keys: [{ publicKey: b32, name: 'ci', createdAt: 1, terms: { admin: true } }] } },
  },
  'ask addKey': {
    schema: accountActions.addKey.ask, good: [{ publicKey: b32, name: 'ci' }, { publicKey: b32, name: 'ci', terms: { models: ['a*'] } }],
    bad: { 'no name': { name: '' }, 'short key': { publicKey: b16 }, 'a budget below zero': { terms: { dayBudget: -1n } }, 'no scope': { terms: { scopes: [] } }, 'too many models': { terms: { models: Array.from({ length: 33 }, () => 'a') } } },
  },
  'tell addKey': { schema: accountActions.addKey.tell, good: [{}], bad: {} },
  'ask revokeKey': { schema: accountActions.revokeKey.ask, good: [{ publicKey: b32 }], bad: { 'short key': { publicKey: b16 } } },
  'tell revokeKey': { schema: accountActions.revokeKey.tell, good: [{}], bad: {} },
  'ask usage': { schema: accountActions.usage.ask, good: [{ from: 0, to: 1 }], bad: { 'a time before all times': { from: -1 } } },
  'tell usage': {
    schema: accountActions.usage.tell, good: [{ rows: [{ day: 1, model: 'm', key: '', requests: 1, promptTokens: 1, completionTokens: 1, cost: '5' }], complete: true }],
    bad: { 'cost as a number': { rows: [{ day: 1, model: 'm', key: '', requests: 1, promptTokens: 1, completionTokens: 1, cost: 5 }] }, 'not said whether all': { complete: 1 } },
  },
  'ask receipts': { schema: accountActions.receipts.ask, good: [{ limit: 100 }, { limit: 1, before: 5 }], bad: { 'none': { limit: 0 }, 'too many': { limit: 101 } } },
  'tell receipts': {
    schema: accountActions.receipts.tell,
    good: [{ receipts: [{ id: 'rcpt_1', jobId: 'j', model: 'm', contributor: 'c', hub: 'h', account: 'a', promptTokens: 1, completionTokens: 1, finish: 'stop', observedMs: 1, signedBy: ['hub'], loggedAt: 1 }] }],
    bad: { 'no list': { receipts: {} } },
  },
  'ask receipt': { schema: accountActions.receipt.ask, good: [{ id: b16 }], bad: { 'long id': { id: b32 } } },
  'tell receipt': { schema: accountActions.receipt.tell, good: [{ file: 'text' }], bad: { 'too long': { file: 'x'.repeat(256 * 1024 + 1) } } },
  'ask ticket': {
    schema: accountActions.ticket.ask, good: [{ model: 'm', requestHash: b32, tokensMax: 0, exclude: [b32], needs: ['chat'] }],
    bad: { 'too many excluded': { exclude: Array.from({ length: 9 }, () => b32) }, 'unknown need': { needs: ['fly'] }, 'no needs': { needs: undefined } },
  },
  'tell ticket': { schema: accountActions.ticket.tell, good: [{ ticket: signed, hostName: 'h', addresses: ['/a'] }], bad: { 'too many addresses': { addresses: Array.from({ length: 17 }, () => '/a') }, 'long address': { addresses: ['x'.repeat(257)] } } },
  'ask settle': { schema: accountActions.settle.ask, good: [settle, { ...settle, half: signed }], bad: { 'no usage': { observedUsage: undefined }, 'time below 0': { observedMs: -1 } } },
  'tell settle': { schema: accountActions.settle.tell, good: [{ receiptId: b16, durability: 'local', costMicroCredits: '0' }], bad: { 'unknown durability': { durability: 'maybe' } } },
}

/** A field that is absent, as nothing on the wire is `undefined`. */
function without(value: Value): Value {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined))
}

describe('protocol/messages', () => {
  for (const [name, { schema, good, bad }] of Object.entries(vectors)) {
    it(`${name}: comes back as it was sent, and refuses ${Object.keys(bad).length} bad ones`, async () => {
      for (const value of good) {
        const bytes = encode(value)
        expect(decode(schema, bytes)).to.deep.equal(value)
        expect(Buffer.from(encode(decode(schema, bytes)))).to.deep.equal(Buffer.from(bytes))
      }
      for (const [problem, part] of Object.entries(bad)) {
        expect(await codeOf(() => decode(schema, encode(without({ ...good[0]!, ...part })))), problem).to.equal('FRAME_MALFORMED')
      }
      for (const other of [null, 7, 'text', []]) expect(await codeOf(() => decode(schema, encode(other)))).to.equal('FRAME_MALFORMED')
    })
  }

  it('covers each kind of message of the unions', () => {
    const seen = new Set(Object.values(vectors).flatMap(({ good }) => good.map((value) => value['t'])))
    for (const schema of [controlAskSchema, controlTellSchema, jobAskSchema, jobTellSchema, ledgerMessageSchema]) {
      for (const option of schema.options) expect([...seen]).to.include(option.shape.t.value)
    }
    for (const action of Object.keys(accountActions)) expect(Object.keys(vectors)).to.include.members([`ask ${action}`, `tell ${action}`])
  })

  it('drops fields that it does not know, so that a newer peer may send more', () => {
    expect(decode(jobTellSchema, encode({ t: 'accept', later: 1 }))).to.deep.equal({ t: 'accept' })
  })

  it('reads ledger messages from their bytes', async () => {
    const message = { t: 'ack', log, no: 1 } as const
    expect(decodeLedgerMessage(encodeLedgerMessage(message))).to.deep.equal(message)
    expect(await codeOf(() => decodeLedgerMessage(Uint8Array.of(0xff)))).to.equal('FRAME_MALFORMED')
  })

  it('names receipts by job and tickets by their signed bytes', () => {
    expect(receiptIdOf(b16)).to.have.length(16)
    expect(Buffer.from(receiptIdOf(b16))).to.not.deep.equal(Buffer.from(receiptIdOf(new Uint8Array(16))))
    expect(ticketHashOf(signed)).to.have.length(32)
  })
})

describe('protocol/messages/job: deltas and their frames', () => {
  const deltas: readonly AnswerDelta[] = [
    { type: 'text', text: 'a', tokens: 1 },
    { type: 'text', text: 'a', tokens: 1, logprobs: [{ token: 'a', logprob: -0.5, top: [{ token: 'b', logprob: -1 }] }] },
    { type: 'reasoning', text: 'hm', tokens: 2 },
    { type: 'reasoning', text: '', tokens: 2, signature: 's' },
    { type: 'reasoning', text: 'c1pher', tokens: 2, redacted: true },
    { type: 'toolCall', index: 0, id: 'call_1', name: 'f', arguments: '', tokens: 3 },
    { type: 'toolCall', index: 0, arguments: '{"a":1}', tokens: 4 },
  ]

  it('are the same behind the wire', () => {
    for (const delta of deltas) {
      const frame = decode(jobTellSchema, encode(tellOfDelta(delta)))
      expect(deltaOfTell(frame as JobDeltaTell)).to.deep.equal(delta)
    }
  })

  it('give different text to hash, so that no piece passes for another', () => {
    expect(hashedText(deltas[0]!)).to.equal('a')
    const hashed = deltas.filter((delta) => delta.type !== 'text').map(hashedText)
    expect(new Set(hashed).size).to.equal(hashed.length)
    expect(hashed.every((text) => text.startsWith('\0'))).to.equal(true)
  })
})
