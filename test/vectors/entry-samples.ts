/** One or more entries of every kind, from fixed keys and times, and what their ids are derived from. */
import { encodeAdminChange, type AdminChange } from '../../ledger/admin-change.ts'
import { encodeEntry, encodeReceipt, type EncodedEntry, type Entry, type EntryKind, type ReceiptRate, type Unnamed } from '../../ledger/entries/entry.ts'
import { MICRO_CREDITS_MAX } from '../../ledger/entries/fields.ts'
import { forkProofOf, signSeal, type SignedHeader } from '../../ledger/hub/seal-documents.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { encode } from '../../protocol/codec.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { ticketHashOf, type Observation, type ReceiptHalf } from '../../protocol/messages/receipt.ts'
import type { Ticket } from '../../protocol/messages/ticket.ts'
import { signDocument, signedBytes, signatureDomains, signTogether, type Signed, type SignatureDomain } from '../../protocol/signed.ts'
import { ada, DAY0, grace, hubSigners, named, NETWORK, signerOf, T0 } from './fixtures.ts'

/** A document inside an entry: where it is, and the domain of its signature. */
export interface InnerDocument { readonly at: readonly (string | number)[]; readonly domain: SignatureDomain; readonly document: Signed }

export interface EntrySample {
  readonly name: string
  readonly encoded: EncodedEntry
  /** What stands behind `triforce/entry/1 NUL kind NUL`; a receipt's id is derived otherwise. */
  readonly naturalKey: Uint8Array
  readonly documents: readonly InnerDocument[]
}

const text = (value: string) => Buffer.from(value, 'utf8')
const log0 = { hub: 0, epoch: 1 }
const log1 = { hub: 1, epoch: 7 }

function unsigned(length: number, value: number | bigint): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return new Uint8Array(bytes.subarray(8 - length))
}
const logKey = ({ hub, epoch }: { readonly hub: number; readonly epoch: number }) => concatBytes(unsigned(1, hub), unsigned(4, epoch))

export const jobId = named('job', 16)
const ticketBody = {
  v: 1, network: NETWORK, jobId, hub: hubSigners[0]!.publicKey, contributor: signerOf('contributor').publicKey, account: ada, model: 'triforce-demo:1m',
  requestHash: named('request'), tokensMax: 512, msMax: 60_000, priority: 1, priceRev: 0, classRev: 0, issuedAt: T0, expiresAt: T0 + 60_000,
} satisfies Ticket
export const ticket = signDocument(hubSigners[0]!, 'ticket', ticketBody)
const seen = { outputHash: named('output'), finish: 'stop' as const, usage: { promptTokens: 12, completionTokens: 40 } }
const half: ReceiptHalf = {
  v: 1, ticketHash: ticketHashOf(ticket), jobId, modelDigest: 'ab'.repeat(32), device: 'gpu0', boot: named('boot', 16), startMs: 1_000, endMs: 2_500, ...seen,
}
const halfOfTwo = signDocument(signerOf('contributor'), 'receiptHalf', { ...half, devices: ['gpu0', 'gpu0 #2'] } satisfies ReceiptHalf)
const halfOfOne = signDocument(signerOf('contributor'), 'receiptHalf', half)
/** The third of three documents under one signature. */
const halfOfThree = signTogether(signerOf('contributor'), [
  { domain: 'receiptHalf', body: encode({ ...half, jobId: named('another job', 16) }) }, { domain: 'progress', body: encode({ v: 1 }) }, { domain: 'receiptHalf', body: encode(half) },
])[2]!
const observation: Observation = { observedMs: 1_600, path: 'hub', endedAt: T0 + 2_000, ...seen }
const receiptEntry = (signed: Signed | undefined, rate?: ReceiptRate) => (
  encodeReceipt(ticketBody, { ticket: ticket.body, observation, ...(signed === undefined ? {} : { half: signed }) }, rate)
)
export const receipt = receiptEntry(halfOfOne, 25_000_000n)

export function epochKeyOf(hub: number, epoch: number, key: Uint8Array, previous?: { readonly epoch: number; readonly no: number; readonly hash: Uint8Array }): Signed {
  return signDocument(hubSigners[hub]!, 'epochKey', { v: 1, network: NETWORK, hub, epoch, key, ...(previous === undefined ? {} : { previous }) })
}
const epochKey = epochKeyOf(0, 1, signerOf('log 0').publicKey)
const nextEpochKey = epochKeyOf(0, 2, signerOf('log 0 again').publicKey, { epoch: 1, no: 3, hash: named('final') })

const sealOf = { log: log0, no: 3, hash: named('final') }
const seals = [signSeal(hubSigners[1]!, NETWORK, sealOf), signSeal(hubSigners[2]!, NETWORK, sealOf)]

function header(note: string): SignedHeader {
  const bytes = encode({
    v: 1, network: NETWORK, hub: 0, epoch: 1, no: 2, firstSeq: 1, n: 1, prevHash: named('frame 1'), entriesRoot: named(note), treeSize: 2, treeRoot: named(`tree ${note}`),
    tsMs: T0, seen: [0, 1, 2].map(() => ({ epoch: 0, no: 0 })), rules: 1,
  })
  return { header: bytes, signature: signerOf('log 0').sign(signedBytes('logFrame', bytes)) }
}
const fork = forkProofOf(log0, 2, header('one'), header('other'))

const change: AdminChange = {
  v: 1, network: NETWORK, createdAt: T0, change: { type: 'grant', account: ada, amount: 2_000_000_000_000n, source: 'prize 2026' },
}
const changeBody = encodeAdminChange(change)
const approval: Signed = { body: changeBody, key: hubSigners[0]!.publicKey, signature: hubSigners[0]!.sign(signedBytes('adminChange', changeBody)) }
const changeId = sha256(changeBody).slice(0, 16)

export const hold = encodeEntry({
  k: 'Hold', hub: 0, request: named('request id', 16), requestHash: named('request'), account: ada, priceRow: 'gpt-4o', priceRev: 0, credits: 12_500_000n,
  quota: { day: DAY0, tokens: 4_000, tier: 'pro', tierRev: 0 }, expiresAt: T0 + 600_000,
})
const holdId = hold.entry.eid
const give = encodeEntry({ k: 'Give', request: named('give', 16), account: ada, unit: 0, target: log1, amount: 500_000n })

function sample(name: string, fields: Unnamed<Entry>, naturalKey: readonly Uint8Array[], documents: readonly InnerDocument[] = []): EntrySample {
  return { name, encoded: encodeEntry(fields), naturalKey: concatBytes(...naturalKey), documents }
}

export const entrySamples: readonly EntrySample[] = [
  sample('a log begins', { k: 'EpochOpen', ...log0, key: epochKey }, [logKey(log0)], [{ at: ['key'], domain: 'epochKey', document: epochKey }]),
  sample('a log that comes after another one of its hub', { k: 'EpochOpen', hub: 0, epoch: 2, key: nextEpochKey }, [logKey({ hub: 0, epoch: 2 })],
    [{ at: ['key'], domain: 'epochKey', document: nextEpochKey }]),
  sample('an account', { k: 'AccountOpen', account: ada, publicKey: signerOf('Ada').publicKey, name: 'Ada', tier: 'free' }, [signerOf('Ada').publicKey]),
  sample('a name beyond ASCII', { k: 'AccountOpen', account: grace, publicKey: signerOf('Grace').publicKey, name: 'Grâce 🦉', tier: 'free' }, [signerOf('Grace').publicKey]),
  sample('an API key', { k: 'KeyAdd', publicKey: signerOf('Ada laptop').publicKey, account: ada, name: 'laptop' }, [signerOf('Ada laptop').publicKey]),
  sample('a key is refused from now on', { k: 'KeyRevoke', publicKey: signerOf('Ada laptop').publicKey }, [signerOf('Ada laptop').publicKey]),
  sample('another tier', { k: 'TierSet', account: ada, rev: 1, tier: 'pro' }, [ada, unsigned(8, 1)]),
  sample('a grant', { k: 'Grant', account: ada, amount: 5_000_000n, source: 'welcome' }, [ada, text('welcome')]),
  sample('the largest amount', { k: 'Grant', account: ada, amount: MICRO_CREDITS_MAX, source: 'largest' }, [ada, text('largest')]),
  sample('a grant that two hubs approved', { k: 'Grant', account: ada, amount: 2_000_000_000_000n, source: 'prize 2026', approved: changeId }, [ada, text('prize 2026')]),
  sample('a purchase', { k: 'Purchase', account: ada, amount: 2_500_000_000n, payment: 'pi_1', product: 'pack-20' }, [text('pi_1')]),
  sample('a payment taken back', { k: 'Chargeback', account: ada, amount: 2_500_000_000n, payment: 'pi_1' }, [text('pi_1')]),
  { name: 'a hold with quota and credits', encoded: hold, naturalKey: concatBytes(unsigned(1, 0), named('request id', 16)), documents: [] },
  sample('a hold after a try at another hub', {
    k: 'Hold', hub: 1, request: named('second request id', 16), requestHash: named('request'), account: ada, priceRow: 'gpt-4o', priceRev: 0,
    credits: 12_500_000n, expiresAt: T0 + 600_000, supersedes: { hub: 0, hold: holdId },
  }, [unsigned(1, 1), named('second request id', 16)]),
  sample('more for a hold', { k: 'Extend', hold: holdId, step: 1, credits: 2_500_000n, quotaTokens: 0, expiresAt: T0 + 900_000 }, [holdId, unsigned(8, 1)]),
  sample('use so far', { k: 'Progress', hold: holdId, step: 1, promptTokens: 1_000, completionTokens: 2_500 }, [holdId, unsigned(8, 1)]),
  sample('a settlement', {
    k: 'Settle', hold: holdId, promptTokens: 1_000, completionTokens: 4_200, charge: 12_000_000n, quotaTokens: 4_000, receipt: named('receipt id', 16),
  }, [holdId]),
  sample('a hold lapses', { k: 'Expire', hold: holdId }, [holdId]),
  sample('a refund', { k: 'Refund', hold: holdId, account: ada, amount: 12_000_000n, quotaTokens: 4_000, reason: 'superseded' }, [holdId, text('superseded')]),
  { name: 'rights on their way', encoded: give, naturalKey: named('give', 16), documents: [] },
  sample('rights arrive', { k: 'Accept', give: give.entry.eid, from: log0, account: ada, unit: 0, amount: 500_000n }, [give.entry.eid]),
  sample('rights come back', { k: 'GiveReturn', give: give.entry.eid }, [give.entry.eid]),
  sample('quota on its way', { k: 'Give', request: named('quota give', 16), account: ada, unit: DAY0, target: log1, amount: 1_000n, quota: { tier: 'pro', tierRev: 0 } },
    [named('quota give', 16)]),
  { name: 'a receipt of both sides', encoded: receipt, naturalKey: jobId, documents: [{ at: ['half'], domain: 'receiptHalf', document: halfOfOne }] },
  {
    name: 'a receipt of work on two devices', naturalKey: jobId,
    encoded: receiptEntry(halfOfTwo, [{ device: 'gpu0', rate: 150_000_000n }, { device: 'gpu0 #2', rate: 150_000_000n }]),
    documents: [{ at: ['half'], domain: 'receiptHalf', document: halfOfTwo }],
  },
  {
    name: 'a receipt whose half was signed together with others', encoded: receiptEntry(halfOfThree), naturalKey: jobId,
    documents: [{ at: ['half'], domain: 'receiptHalf', document: halfOfThree }],
  },
  { name: 'a receipt of the hub alone', encoded: receiptEntry(undefined), naturalKey: jobId, documents: [] },
  sample('a contributor stood by', {
    k: 'Presence', hub: 0, contributor: signerOf('contributor').publicKey, boot: named('boot', 16), deviceFromMs: 60_000, deviceToMs: 120_000,
    wallFromMs: T0 - 60_000, wallToMs: T0, devices: [{ device: 'gpu0', rate: 7_500_000n }],
  }, [unsigned(1, 0), signerOf('contributor').publicKey, named('boot', 16), unsigned(8, 60_000)]),
  sample('pay', {
    k: 'Vest', contributor: signerOf('contributor').publicKey, device: 'gpu0', account: ada, round: 12, total: 135_416n, delta: 10_416n, back: 5_208n,
  }, [signerOf('contributor').publicKey, text('gpu0'), unsigned(8, 135_416n)]),
  sample('held-back pay', { k: 'BackRelease', account: ada, step: 1, amount: 5_208n }, [ada, unsigned(8, 1)]),
  sample('a log is sealed', { k: 'Seal', log: log0, frame: 3, hash: named('final'), signatures: seals }, [logKey(log0)],
    seals.map((document, index) => ({ at: ['signatures', index], domain: 'seal' as const, document }))),
  sample('what a sealed log had spent at its lost end', { k: 'IslandSettle', log: log0, account: ada, amount: 70_000n }, [logKey(log0), ada]),
  sample('what stayed frozen is free', { k: 'IslandRelease', log: log0 }, [logKey(log0)]),
  sample('a hub clears again', { k: 'Handback', log: log0, target: { hub: 0, epoch: 2 } }, [logKey(log0)]),
  sample('two histories', { k: 'EquivProof', fork: { ...log0, no: 2 }, first: fork.first, second: fork.second }, [logKey(log0)]),
  sample('a hub approves a change', { k: 'Approval', hub: 0, change: changeId, document: approval }, [changeId, unsigned(1, 0)],
    [{ at: ['document'], domain: 'adminChange', document: approval }]),
]

export const domainText = (domain: SignatureDomain) => signatureDomains[domain]
export const kindsSampled = (): ReadonlySet<EntryKind> => new Set(entrySamples.map(({ encoded }) => encoded.entry.k))
