/** Vectors of frames: a chain of one hub's log, with the hashes on the way; the second frame with entries of many kinds. */
import { decode } from '@ipld/dag-cbor'
import { encodeEntry, type EncodedEntry } from '../../ledger/entries/entry.ts'
import { buildFrame, emptyTail, type CheckedFrame, type LogTail } from '../../ledger/frame.ts'
import { inclusionPath, leafHash } from '../../protocol/merkle.ts'
import { writeReceiptFile } from '../../ledger/receipt-file.ts'
import { toHex } from '../../protocol/bytes.ts'
import { entrySamples, receipt } from './entry-samples.ts'
import { ada, federation, federationText, NETWORK, signerOf, T0 } from './fixtures.ts'
import { toJson, type Json } from './format.ts'

function sampleOf(name: string): EncodedEntry {
  return entrySamples.find((sample) => sample.name === name)!.encoded
}

const seen = [0, 1, 2].map(() => ({ epoch: 0, no: 0 }))

/** Three frames of hub 0. The clock stands between the second and the third. */
export function chain(): readonly CheckedFrame[] {
  const contents: readonly (readonly EncodedEntry[])[] = [
    [sampleOf('a log begins'), sampleOf('an account'), sampleOf('an API key')],
    [sampleOf('a grant'), sampleOf('a hold with quota and credits'), receipt, sampleOf('a settlement')],
    [encodeEntry({ k: 'Grant', account: ada, amount: 1n, source: 'smallest' })],
  ]
  const frames: CheckedFrame[] = []
  let tail: LogTail = emptyTail({ hub: 0, epoch: 1 })
  for (const [place, entries] of contents.entries()) {
    const frame = buildFrame(tail, entries, { network: NETWORK, signer: signerOf('log 0'), nowMs: T0 + Math.min(place, 1) * 1_000, seen })
    frames.push(frame)
    tail = frame.tail
  }
  return frames
}

export function frameVectors(): { readonly [key: string]: Json } {
  return {
    frames: chain().map((frame) => {
      const leaves = frame.entryBytes.map(leafHash)
      return {
        bytes: toHex(frame.bytes), headerBytes: toHex(frame.headerBytes), header: toJson(decode(frame.headerBytes)), hash: toHex(frame.hash), signature: toHex(frame.signature),
        entries: frame.entryBytes.map((bytes, index) => ({
          eid: toHex(frame.entries[index]!.eid), bytes: toHex(bytes), leafHash: toHex(leaves[index]!), path: inclusionPath(leaves, index).map(toHex),
        })),
      }
    }),
  }
}

export function receiptFileVectors(): { readonly [key: string]: Json } {
  const frames = chain()
  const frame = frames[1]!
  const index = frame.entries.findIndex(({ k }) => k === 'JobReceipt')
  const text = writeReceiptFile({
    entry: frame.entryBytes[index]!, index, path: inclusionPath(frame.entryBytes.map(leafHash), index),
    header: frame.headerBytes, headerSignature: frame.signature, epochKey: frame.tail.epochKey!.certificate,
  }, federation)
  return { federation: federationText, file: text }
}
