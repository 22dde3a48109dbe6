import { expect } from 'chai'
import { framesOf } from '../../../../ledger/checkpoint/checkpoint.ts'
import { readLeaf } from '../../../../ledger/checkpoint/state-leaf.ts'
import { encodeProof } from '../../../../ledger/checkpoint/state-tree.ts'
import { verifyStatement, writeStatementFile, type StatementFrame, type StatementParts } from '../../../../ledger/checkpoint/statement-file.ts'
import { createStatementPicker } from '../../../../ledger/checkpoint/statement-picker.ts'
import { holdEidOf, type EntryOf, type Unnamed } from '../../../../ledger/entries/entry.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import type { TriforceError } from '../../../../protocol/errors.ts'
import { createCheckpointWorld, type CheckpointWorld } from '../../../support/checkpoint-world.ts'
import { testFederation } from '../../../support/federation.ts'
import { places, times } from '../../../support/thorough.ts'

const id = (number: number) => new Uint8Array(16).fill(number)
const receipt = id(77)

/** An account that was given something and spent some of it. */
function shortLifeOf(world: CheckpointWorld): string {
  const account = world.account(1)
  world.say(1, { k: 'Grant', account: account.id, amount: 5_000_000n, source: 'welcome' })
  world.say(1, {
    k: 'Hold', hub: 1, request: id(1), requestHash: new Uint8Array(32), account: account.id, priceRow: 'groq', priceRev: 0, credits: 2_000_000n, expiresAt: world.nowMs + 60_000,
  })
  world.say(1, { k: 'Settle', hold: holdEidOf(1, id(1)), promptTokens: 4_000, completionTokens: 4_000, charge: 1_000_000n, quotaTokens: 0, receipt })
  world.commit(1)
  world.deliverAll()
  world.pass(3)
  return account.hex
}

/** An account with some of everything, at two hubs, among entries of another account. */
function lifeOf(world: CheckpointWorld): string {
  const account = world.account(0)
  const other = world.account(0)
  world.commit(0)
  world.deliverAll()
  const hold = (hub: number, request: number, credits: bigint, of = account.id): Unnamed<EntryOf<'Hold'>> => ({
    k: 'Hold', hub, request: id(request), requestHash: new Uint8Array(32), account: of, priceRow: 'groq', priceRev: 0, credits, expiresAt: world.nowMs + 60_000,
  })
  world.say(0, { k: 'Grant', account: account.id, amount: 50_000_000n, source: 'welcome' })
  world.say(0, { k: 'Grant', account: other.id, amount: 9_000_000n, source: 'welcome' })
  world.say(0, { k: 'Purchase', account: account.id, amount: 20_000_000n, payment: 'pay-1', product: 'pack-5' })
  world.commit(0)
  world.nowMs += 10
  world.say(0, hold(0, 1, 4_000_000n))
  world.say(0, hold(0, 2, 1_000_000n, other.id))
  world.commit(0)
  world.say(0, { k: 'Extend', hold: holdEidOf(0, id(1)), step: 1, credits: 1_000_000n, quotaTokens: 0, expiresAt: world.nowMs + 90_000 })
  world.say(0, { k: 'Progress', hold: holdEidOf(0, id(1)), step: 1, promptTokens: 10, completionTokens: 20 })
  world.commit(0)
  world.say(0, { k: 'Settle', hold: holdEidOf(0, id(1)), promptTokens: 4_000, completionTokens: 4_000, charge: 2_000_000n, quotaTokens: 0, receipt })
  world.say(0, { k: 'Refund', hold: holdEidOf(0, id(1)), account: account.id, amount: 500_000n, quotaTokens: 0, reason: 'superseded' })
  world.say(0, hold(0, 3, 700_000n))
  world.say(0, { k: 'Expire', hold: holdEidOf(0, id(3)) })
  world.say(0, { k: 'Give', request: id(90), account: account.id, unit: 0, target: { hub: 1, epoch: 1 }, amount: 8_000_000n })
  world.say(0, { k: 'Give', request: id(91), account: account.id, unit: 0, target: { hub: 2, epoch: 1 }, amount: 100n })
  world.commit(0)
  world.deliverAll()
  world.nowMs += 10
  const given = [...world.hubs[1]!.hub.state.gives.values()].find(({ to }) => to === '1/1')!
  world.say(1, { k: 'Accept', give: Buffer.from(given.eid, 'hex'), from: { hub: 0, epoch: 1 }, account: account.id, unit: 0, amount: given.amount })
  world.say(1, hold(1, 4, 3_000_000n))
  world.commit(1)
  world.deliverAll()
  world.nowMs += 10
  world.say(0, { k: 'Chargeback', account: account.id, amount: 1_000_000n, payment: 'pay-1' })
  world.commit(0)
  world.deliverAll()
  world.pass(3)
  return account.hex
}

function partsOf(world: CheckpointWorld, hub: number, account: string): StatementParts {
  const of = world.hubs[hub]!
  world.run(hub, { type: 'prove', account })
  const proof = of.proved.at(-1)!.proof!
  const picker = createStatementPicker(account, (hold) => of.hub.state.holds.get(hold)?.account)
  const ends = framesOf(proof.final.checkpoint)
  for (const [log, frames] of of.frames) for (const frame of frames.slice(0, ends.get(log) ?? 0)) picker.add(frame)
  const leaf = readLeaf(proof.leaf)!
  const frames = picker.pick(leaf)
  const epochKeys = leaf.chains.map(({ log }) => {
    const [first] = of.frames.get(log)!
    return { log: first!.log, certificate: first!.tail.epochKey!.certificate }
  })
  return { ...proof, frames, epochKeys }
}

describe('ledger/checkpoint/statement-file', () => {
  const world = createCheckpointWorld()
  const account = lifeOf(world)
  const { federation } = world.federation
  const parts = partsOf(world, 0, account)
  const file = writeStatementFile(parts, federation)

  function reasonOf(text: string, of = federation): string {
    try {
      verifyStatement(text, of)
      return 'valid'
    } catch (error) {
      const { code, message } = error as TriforceError
      expect(code, message).to.equal('STATEMENT_INVALID')
      return message
    }
  }

  it('is verified with the federation file alone: balance, entries, receipts and age', () => {
    const verified = verifyStatement(file, federation)
    expect(verified.account).to.equal(account)
    expect(verified.balance).to.deep.include({ minted: 70_000_000n, spent: 2_500_000n, held: 3_000_000n, inflight: 100n, debt: 0n })
    expect(verified.balance.available).to.equal(70_000_000n - 2_500_000n - 3_000_000n - 100n)
    expect(verified.lines.map(({ kind }) => kind)).to.deep.equal([
      'Grant', 'Purchase', 'Hold', 'Extend', 'Settle', 'Refund', 'Hold', 'Expire', 'Give', 'Give', 'Accept', 'Hold', 'Chargeback',
    ])
    expect(verified.lines[4]).to.deep.include({ amount: -2_000_000n, held: -5_000_000n, why: 'groq' })
    expect([...verified.receipts]).to.deep.equal([toHex(receipt)])
    expect(verified.hubs).to.have.length(2)
    expect(verified.asOfMs).to.equal(world.hubs[0]!.machine.latest!.checkpoint.timeMs)
    expect(verified.checkpoint.hash).to.deep.equal(world.hubs[0]!.machine.latest!.hash)
  })

  it('says the same at every hub, whichever two have signed', () => {
    const { lines, balance } = verifyStatement(file, federation)
    for (const hub of [1, 2]) {
      const there = verifyStatement(writeStatementFile(partsOf(world, hub, account), federation), federation)
      expect(there.lines).to.deep.equal(lines)
      expect(there.balance).to.deep.equal(balance)
    }
  })

  it('fails after a change of any single byte', function () {
    this.timeout(times(120_000, 1_200_000))
    const small = createCheckpointWorld()
    const short = writeStatementFile(partsOf(small, 0, shortLifeOf(small)), small.federation.federation)
    const bytes = Buffer.from(short, 'utf8')
    for (const at of places(bytes.length, 8)) {
      const old = bytes[at]!
      for (const value of [old ^ 1, old === 0x30 ? 0x31 : 0x30]) {
        bytes[at] = value
        const reason = reasonOf(bytes.toString('utf8'), small.federation.federation)
        if (reason === 'valid') expect.fail(`byte ${at}: ${old} → ${value} in "${short.slice(Math.max(0, at - 40), at + 10)}"`)
      }
      bytes[at] = old
    }
    expect(reasonOf(bytes.toString('utf8'), small.federation.federation)).to.equal('valid')
  })

  it('fails after a byte is added or taken away', function () {
    this.timeout(times(60_000, 1_200_000))
    for (const at of places(file.length + 1, 300)) {
      expect(reasonOf(`${file.slice(0, at)} ${file.slice(at)}`), `added at ${at}`).to.not.equal('valid')
      if (at < file.length) expect(reasonOf(file.slice(0, at) + file.slice(at + 1)), `taken at ${at}`).to.not.equal('valid')
    }
    expect(reasonOf(file.trimEnd())).to.match(/line|something/)
  })

  it('fails where an entry is left out, swapped or given twice, or a frame is, though the text is made anew from what is left', () => {
    const changed = (frames: readonly StatementFrame[]) => reasonOf(writeStatementFile({ ...parts, frames }, federation))
    expect(changed(parts.frames)).to.equal('valid')
    for (const [at, frame] of parts.frames.entries()) {
      expect(changed(parts.frames.filter((_, place) => place !== at)), `without frame ${at}`).to.match(/has \d+ entries of the account, the statement \d+|key of a log without entries/)
      for (const [index] of frame.entries.entries()) {
        const entries = frame.entries.filter((_, place) => place !== index)
        if (entries.length === 0) continue
        expect(changed(parts.frames.map((other) => other === frame ? { ...frame, entries } : other)), `without entry ${index} of frame ${at}`)
          .to.match(/has \d+ entries of the account, the statement \d+/)
      }
      if (frame.entries.length > 1) {
        expect(changed(parts.frames.map((other) => other === frame ? { ...frame, entries: [...frame.entries].reverse() } : other)), `frame ${at} swapped`).to.match(/not in frame/)
      }
    }
    const [first, second, ...others] = parts.frames
    expect(changed([second!, first!, ...others])).to.match(/not in order/)
    expect(changed([first!, first!, second!, ...others])).to.match(/not in order/)
  })

  it('fails where another account\'s entry stands in for one of this account', () => {
    const of = world.hubs[0]!.frames.get('0/1')!
    const frame = of.find(({ entries }) => entries.filter(({ k }) => k === 'Grant').length === 2)!
    const picker = createStatementPicker([...world.hubs[0]!.hub.state.accounts.keys()].find((other) => other !== account)!, (hold) => world.hubs[0]!.hub.state.holds.get(hold)?.account)
    for (const stored of of) picker.add(stored)
    const strangers = partsOf(world, 0, [...world.hubs[0]!.hub.state.accounts.keys()].find((other) => other !== account)!)
    const foreign = strangers.frames.find(({ header }) => toHex(header) === toHex(frame.headerBytes))!
    const frames = parts.frames.map((own) => toHex(own.header) === toHex(frame.headerBytes) ? { ...own, entries: [...foreign.entries, own.entries.at(-1)!] } : own)
    expect(reasonOf(writeStatementFile({ ...parts, frames }, federation))).to.match(/not those of the account|not in frame/)
    // And another account's balance for these entries.
    expect(reasonOf(writeStatementFile({ ...parts, leaf: strangers.leaf, path: strangers.path }, federation))).to.match(/entries/)
    expect(reasonOf(writeStatementFile({ ...parts, leaf: strangers.leaf }, federation))).to.match(/not in the state that the hubs signed/)
    expect(encodeProof(strangers.path)).to.not.deep.equal(encodeProof(parts.path))
  })

  it('says precisely what does not fit', () => {
    const stranger = testFederation({ network: federation.network }).federation
    const [first, second] = parts.final.signatures
    const forged = { hub: second!.hub, signature: first!.signature }
    const cases: readonly (readonly [RegExp, string, typeof federation?])[] = [
      [/not JSON/, file.slice(0, 900)],
      [/not JSON/, ''],
      [/format is "triforce-statement\/9"/, file.replace('triforce-statement/1', 'triforce-statement/9')],
      [/format is missing/, '[]'],
      [/format is missing/, 'null'],
      [/no readable documents.leaf/, file.replace('"leaf": "', '"leaf": 3, "leaf2": "')],
      [/line 4 says .* but the signed documents give/, file.replace(`"account": "${account.slice(0, 1)}`, '"account": "x')],
      [/something after its end/, `${file}\n`],
      [/not signed by two hubs/, writeStatementFile({ ...parts, final: { ...parts.final, signatures: [first!] } }, federation)],
      [/not signed by two hubs/, writeStatementFile({ ...parts, final: { ...parts.final, signatures: [first!, forged] } }, federation)],
      [/not signed by two hubs/, file, stranger],
      [/not signed by two hubs/, file, { ...federation, network: 'elsewhere' }],
      [/not signed with its log's key/, writeStatementFile({ ...parts, frames: parts.frames.map((frame) => ({ ...frame, signature: new Uint8Array(64) })) }, federation)],
      [/key of log 0\/1 is missing/, writeStatementFile({ ...parts, epochKeys: parts.epochKeys.slice(1) }, federation)],
      [/key of log .* is not certified/, writeStatementFile({ ...parts, epochKeys: parts.epochKeys.map((of) => ({ ...of, certificate: parts.epochKeys[1]!.certificate })) }, federation)],
    ]
    for (const [reason, text, of] of cases) expect(reasonOf(text, of)).to.match(reason)
  })

  it('names more hubs where more have signed, and an account without entries has a statement too', () => {
    const fresh = world.account(2)
    world.commit(2)
    world.deliverAll()
    world.pass(3)
    const empty = verifyStatement(writeStatementFile(partsOf(world, 1, fresh.hex), federation), federation)
    expect(empty.lines).to.deep.equal([])
    expect(empty.balance.available).to.equal(0n)
  })
})
