import { expect } from 'chai'
import * as fc from 'fast-check'
import type { z } from 'zod'
import { entrySchema } from '../../../ledger/entries/entry.ts'
import { looksLikeEntry } from '../../../ledger/entries/quick.ts'
import { buildFrame, emptyTail, frameHeaderSchema, looksLikeHeader, looksLikeStored, storedFrameSchema } from '../../../ledger/frame.ts'
import { decodeUnchecked, encode } from '../../../protocol/codec.ts'
import { decodeLedgerMessage, encodeLedgerMessage, isFramesOrAck, ledgerMessageSchema } from '../../../protocol/messages/ledger.ts'
import { capacitySchema, looksLikeCapacity } from '../../../protocol/messages/capacity.ts'
import { looksLikeHalf, receiptHalfSchema } from '../../../protocol/messages/receipt.ts'
import { looksLikeTicket, ticketSchema } from '../../../protocol/messages/ticket.ts'
import type { Look } from '../../../protocol/shape.ts'
import { aCapacity } from '../../support/completions.ts'
import { receiptEntry, testReceipt } from '../../support/ledger-world.ts'
import { testKey } from '../../support/federation.ts'
import { entrySamples } from '../../vectors/entry-samples.ts'

/** Values that might stand where another one is wanted. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null, true, false, '', 'free', 'Hold', 'stop', 'hub', 'x'.repeat(256), 'x'.repeat(257), 0, 1, -1, 2, 3, 0.5, 1_024, 1_025, 65_536, 2 ** 32, 100_001, Number.MAX_SAFE_INTEGER, 2 ** 53, 2 ** 60,
    2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, [], {}, [1], { hub: 0, epoch: 1 }, { day: 1, tokens: 1, tier: 'free', tierRev: 0 }, { hub: 1, hold: new Uint8Array(16) },
    ...[0, 15, 16, 17, 31, 32, 33, 64].map((length) => new Uint8Array(length)),
  ),
  fc.integer(), fc.string({ maxLength: 10 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
)
const changes = fc.array(fc.record({ pick: fc.nat(), how: fc.constantFrom('set', 'drop', 'add', 'swap'), value: odd }), { maxLength: 2 })

interface Place { readonly holder: Record<string, unknown>; readonly key: string; readonly value: unknown }

/** All fields of a value, those of its parts too. */
function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return []
  const holder = value as Record<string, unknown>
  return Object.keys(holder).flatMap((key) => [{ holder, key, value: holder[key] }, ...placesIn(holder[key])])
}

function changed(value: unknown, all: readonly { readonly pick: number; readonly how: string; readonly value: unknown }[]): void {
  for (const { pick, how, value: put } of all) {
    const places = placesIn(value)
    const { holder, key } = places[pick % places.length]!
    if (how === 'set') holder[key] = put
    else if (how === 'add') holder[Array.isArray(holder) ? String(holder.length) : 'more'] = put
    else if (how === 'swap') holder[key] = structuredClone(places[(pick * 7 + 3) % places.length]!.value)
    else if (Array.isArray(holder)) holder.pop()
    else delete holder[key]
  }
}

/** What the bytes are by the schema alone, where the look says yes: it must be the value as it is. */
function agree(schema: z.ZodType, look: Look, bytes: Uint8Array): boolean {
  const taken = schema.safeParse(decodeUnchecked(bytes))
  const value = decodeUnchecked(bytes)
  if (!look(value)) return false
  expect(taken.success, taken.error?.message ?? '').to.equal(true)
  expect(value).to.deep.equal(taken.data)
  return true
}

const { signer } = testKey()
const receipt = testReceipt('net', signer)
const frame = buildFrame(emptyTail({ hub: 1, epoch: 7 }), [entrySamples.find(({ encoded }) => encoded.entry.k === 'EpochOpen')!.encoded, receiptEntry(receipt)], {
  network: 'net', signer, nowMs: 1_000, seen: [{ epoch: 1, no: 2 }, { epoch: 7, no: 0 }, { epoch: 0, no: 0 }],
})
const cases: readonly { readonly name: string; readonly schema: z.ZodType; readonly look: Look; readonly samples: readonly Uint8Array[] }[] = [
  { name: 'entries', schema: entrySchema, look: looksLikeEntry, samples: [...entrySamples.map(({ encoded }) => encoded.bytes), receiptEntry(receipt).bytes] },
  { name: 'frame header', schema: frameHeaderSchema, look: looksLikeHeader, samples: [frame.headerBytes] },
  { name: 'stored frame', schema: storedFrameSchema, look: looksLikeStored, samples: [frame.bytes] },
  { name: 'ticket', schema: ticketSchema, look: looksLikeTicket, samples: [receipt.ticket] },
  {
    name: 'capacity', schema: capacitySchema, look: looksLikeCapacity,
    samples: [{}, { gpus: [{ name: 'RTX', vramBytes: 8, vramFreeBytes: 0 }], clock: { boot: new Uint8Array(16), ms: 5 } }].map((part) => encode(aCapacity({ peer: signer.publicKey, ...part }, 1_000))),
  },
  { name: 'half', schema: receiptHalfSchema, look: looksLikeHalf, samples: [receipt.half!.body, encode({ ...decodeUnchecked(receipt.half!.body) as object, devices: ['a', 'b'] })] },
  {
    name: 'messages of the ledger', schema: ledgerMessageSchema, look: isFramesOrAck,
    samples: [encodeLedgerMessage({ t: 'ack', log: { hub: 0, epoch: 1 }, no: 5 }), encodeLedgerMessage({ t: 'frames', log: { hub: 2, epoch: 0xffff_ffff }, frames: [frame.bytes] })],
  },
]
/** Kinds that are rare enough to be left to the schema. */
const slow = new Set(entrySamples.map(({ encoded }) => encoded.entry.k).filter((kind) => ![
  'AccountOpen', 'Purchase', 'Hold', 'Extend', 'Progress', 'Settle', 'Accept', 'JobReceipt',
].includes(kind)))

describe('quick looks', function () {
  this.timeout(60_000)

  it('take what is written every day', () => {
    for (const { name, schema, look, samples } of cases) {
      for (const bytes of samples) {
        const { k } = decodeUnchecked(bytes) as { readonly k?: string }
        if (k !== undefined && (slow.has(k as never) || k === 'JobReceipt' && 'rates' in (decodeUnchecked(bytes) as object))) continue
        expect(agree(schema, look, bytes), `${name} ${k ?? ''}`).to.equal(true)
      }
    }
  })

  for (const { name, schema, look, samples } of cases) {
    it(`take no more than their schema does: ${name}`, () => {
      fc.assert(fc.property(fc.nat(), changes, (pick, all) => {
        const value = decodeUnchecked(samples[pick % samples.length]!)
        changed(value, all)
        let bytes: Uint8Array
        try {
          bytes = encode(value)
        } catch {
          return
        }
        agree(schema, look, bytes)
      }), { numRuns: 600 })
    })
  }

  it('do not stand in the way of other messages', () => {
    const hello = encodeLedgerMessage({ t: 'hello', v: 1, network: 'net', heads: [] })
    expect(decodeLedgerMessage(hello).t).to.equal('hello')
  })
})
