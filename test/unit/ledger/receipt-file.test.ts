import { expect } from 'chai'
import { encodeReceipt, type EncodedEntry, type ReceiptRate } from '../../../ledger/entries/entry.ts'
import { inclusionPath, leafHash } from '../../../protocol/merkle.ts'
import { verifyReceiptFile, writeReceiptFile, type ReceiptProof } from '../../../ledger/receipt-file.ts'
import { toHex } from '../../../protocol/bytes.ts'
import type { TriforceError } from '../../../protocol/errors.ts'
import { receiptIdOf, type Receipt } from '../../../protocol/messages/receipt.ts'
import { epochOpen, grantOf, logBuilder } from '../../support/ledger-frames.ts'
import { receiptEntry, testReceipt, testTicket, testWorld, ticketIn } from '../../support/ledger-world.ts'
import { places } from '../../support/thorough.ts'

const world = testWorld()
const { federation } = world
const hub = world.hubs[1]!.signer
const jobId = new Uint8Array(16).fill(4)

/** The proof of a receipt that stands between other entries in the second frame of hub 2's log. */
function proofOf(logged: Receipt | EncodedEntry, rate: ReceiptRate = 0n): ReceiptProof {
  const log = logBuilder(world, 1)
  const first = log.next()
  const entry = 'bytes' in logged ? logged : receiptEntry(logged, rate)
  const frame = log.next([grantOf('a'), grantOf('b'), entry, grantOf('c'), grantOf('d')])
  return {
    entry: entry.bytes, index: 2, path: inclusionPath(frame.entryBytes.map(leafHash), 2), header: frame.headerBytes,
    headerSignature: frame.signature, epochKey: first.tail.epochKey!.certificate,
  }
}

function reasonOf(text: string, in_ = federation): string {
  try {
    verifyReceiptFile(text, in_)
    return 'valid'
  } catch (error) {
    expect((error as TriforceError).code).to.equal('RECEIPT_INVALID')
    return (error as TriforceError).message
  }
}

const receipt = testReceipt(federation.network, hub, { jobId })
const proof = proofOf(receipt)
const file = writeReceiptFile(proof, federation)

describe('ledger/receipt-file', () => {
  it('is verified with the federation file alone, with and without the half', () => {
    const verified = verifyReceiptFile(file, federation)
    expect(toHex(verified.id)).to.equal(toHex(receiptIdOf(jobId)))
    expect(verified).to.deep.include({ hub: 1, epoch: 1, seq: 4 })
    const lone = testReceipt(federation.network, hub, { jobId, half: null })
    expect(reasonOf(writeReceiptFile(proofOf(lone), federation))).to.equal('valid')
  })

  it('tells people first what the documents say', () => {
    const lines = file.split('\n')
    expect(JSON.parse(file)).to.deep.include({
      id: `rcpt_${toHex(receiptIdOf(jobId))}`, network: 'ledger-test', model: 'triforce-demo:1m', promptTokens: 12, completionTokens: 40,
      finish: 'stop', computedMs: 1_500, observedMs: 1_600, signedBy: ['contributor', 'hub'],
    })
    expect(lines.findIndex((line) => line.includes('"proof"'))).to.be.greaterThan(20)
  })

  it('of a job on several devices says which, and what they earn together', () => {
    const devices = ['gpu', 'gpu #2']
    const several = testReceipt(federation.network, hub, { jobId, half: { device: 'gpu', devices } })
    const text = writeReceiptFile(proofOf(several, devices.map((device) => ({ device, rate: 150_000_000n }))), federation)
    expect(JSON.parse(text)).to.deep.include({ device: 'gpu', devices, earnsMicroCreditsPerHour: '300000000' })
    expect(verifyReceiptFile(text, federation).earnsMicroCreditsPerHour).to.equal(300_000_000n)
    expect(JSON.parse(file)).to.not.have.any.keys('devices', 'earnsMicroCreditsPerHour')
    expect(reasonOf(text.replace('"300000000"', '"150000000"'))).to.match(/but the signed documents give/)
  })

  it('fails after a change of any single byte', function () {
    this.timeout(60_000)
    const bytes = Buffer.from(file, 'utf8')
    for (const at of places(bytes.length, 5)) {
      const old = bytes[at]!
      for (const value of [old ^ 1, old === 0x30 ? 0x31 : 0x30]) {
        bytes[at] = value
        const reason = reasonOf(bytes.toString('utf8'))
        expect(reason, `byte ${at}: ${old} → ${value}`).to.not.equal('valid')
      }
      bytes[at] = old
    }
    expect(reasonOf(bytes.toString('utf8'))).to.equal('valid')
  })

  it('fails after a byte is added or taken away, anywhere', function () {
    this.timeout(60_000)
    for (const at of places(file.length + 1, 40)) {
      expect(reasonOf(`${file.slice(0, at)} ${file.slice(at)}`), `added at ${at}`).to.not.equal('valid')
      if (at < file.length) expect(reasonOf(file.slice(0, at) + file.slice(at + 1)), `taken at ${at}`).to.not.equal('valid')
    }
    expect(reasonOf(file.trimEnd())).to.not.equal('valid')
  })

  it('says precisely what does not fit', () => {
    const forged = { ...receipt.half!, signature: Uint8Array.from(receipt.half!.signature, (byte, place) => place === 3 ? byte ^ 4 : byte) }
    const withReceipt = (change: Partial<Receipt>) => writeReceiptFile(proofOf({ ...receipt, ...change }), federation)
    const ofAnother = (change: Partial<Parameters<typeof encodeReceipt>[0]>) => writeReceiptFile(proofOf(encodeReceipt({ ...ticketIn(receipt.ticket), ...change }, receipt)), federation)
    const other = testWorld()
    const cases: readonly (readonly [RegExp, string, typeof federation?])[] = [
      [/not JSON/, file.slice(0, 500)],
      [/format is "triforce-receipt\/9"/, file.replace('triforce-receipt/1', 'triforce-receipt/9')],
      [/no readable proof.path/, file.replace('"path": [', '"path": 3, "path2": [')],
      [/line 11 says .* but the signed documents give/, file.replace('"name": "hub2"', '"name": "hub3"')],
      [/line \d+ says `"completionTokens": 41,`, but the signed documents give `"completionTokens": 40,`/, file.replace('"completionTokens": 40', '"completionTokens": 41')],
      [/something after its end/, `${file}\n`],
      [/signature of the contributor/, withReceipt({ half: forged })],
      [/ticketHash of the contributor's half is that of another ticket/, withReceipt({ ticket: testTicket(federation.network, hub, { jobId }).body })],
      [/outputHash of the contributor's half is that of another text/, withReceipt({ observation: { ...receipt.observation, outputHash: new Uint8Array(32) } })],
      [/usage of the contributor's half has other tokens/, withReceipt({ observation: { ...receipt.observation, usage: { promptTokens: 12, completionTokens: 41 } } })],
      [/finish of the contributor's half is another end/, withReceipt({ observation: { ...receipt.observation, finish: 'length' } })],
      [/ticket was issued by 12D3\S+, not by the hub that logged it/, writeReceiptFile(proofOf(testReceipt(federation.network, world.hubs[0]!.signer, { jobId })), federation)],
      [/ticket is of the network "elsewhere"/, writeReceiptFile(proofOf(testReceipt('elsewhere', hub, { jobId })), federation)],
      [/log entry is not that of its ticket/, ofAnother({ account: new Uint8Array(16).fill(5) })],
      [/log entry is not that of its ticket/, ofAnother({ contributor: new Uint8Array(32).fill(5) })],
      [/log entry is not that of its ticket/, ofAnother({ jobId: new Uint8Array(16).fill(5) })],
      [/log entry is no receipt/, reproved(grantOf('a').bytes)],
      [/entry is not in the frame/, writeReceiptFile({ ...proof, index: 3 }, federation)],
      [/not signed with its log's key/, writeReceiptFile({ ...proof, headerSignature: receipt.half!.signature }, federation)],
      [/key of the log was not certified by the hub "hub2"/, writeReceiptFile({ ...proof, epochKey: certificateOf(epochOpen(world, 1, 2, hub)) }, federation)],
      [/key of the log was not certified by the hub/, file, { ...other.federation, network: federation.network }],
      [/of the network "ledger-test", the federation file of "elsewhere"/, file, { ...federation, network: 'elsewhere' }],
    ]
    for (const [reason, text, in_] of cases) expect(reasonOf(text, in_)).to.match(reason)
  })
})

/** The file with another entry in it, the proof of which is true. */
function reproved(entry: Uint8Array): string {
  const log = logBuilder(world, 1)
  const first = log.next()
  const frame = log.next([grantOf('a')])
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
  const { body, key, signature } = first.tail.epochKey!.certificate
  return JSON.stringify({
    format: 'triforce-receipt/1',
    proof: {
      entry: text(entry), index: 0, path: [], header: text(frame.headerBytes), headerSignature: text(frame.signature),
      epochKey: { body: text(body), key: text(key), signature: text(signature) },
    },
  })
}

function certificateOf({ entry }: ReturnType<typeof epochOpen>) {
  if (entry.k !== 'EpochOpen') throw new Error('no EpochOpen')
  return entry.key
}
