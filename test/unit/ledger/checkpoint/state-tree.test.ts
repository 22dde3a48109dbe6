import { expect } from 'chai'
import * as fc from 'fast-check'
import { moneyOf, readLeaf, totalNames, writeLeaf } from '../../../../ledger/checkpoint/state-leaf.ts'
import { createStateTree, decodeProof, encodeProof, openStateProof, type StateRoot } from '../../../../ledger/checkpoint/state-tree.ts'
import { createState, emptyAccount, type AccountState, type LedgerState } from '../../../../ledger/fold/state.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import { foldHubKeys, foldInOrder, foldNetwork } from '../../../support/fold-world.ts'
import { live } from '../../../support/fold-workload.ts'
import { seededUnit } from '../../../support/seeded-random.ts'

function tape(seed: number, length: number): readonly number[] {
  const unit = seededUnit(seed)
  return Array.from({ length }, () => Math.floor(unit() * 2 ** 30))
}

function rootOf(state: LedgerState): StateRoot {
  const tree = createStateTree()
  tree.update(state.accounts, state.accounts.keys())
  return tree.root
}

const idOf = (number: number) => toHex(sha256(Buffer.from(`account ${number}`))).slice(0, 32)

function accountWith(state: LedgerState, rights: bigint, random: () => number): AccountState {
  const account = emptyAccount(state, idOf(0))
  for (const log of ['0/1', '1/1', '2/1']) if (random() < 0.7) account.rights.set(log, rights)
  account.held = rights / 3n
  account.minted = rights * 5n
  for (const log of ['0/1', '1/1', '2/1']) account.chains.set(log, { entries: 3, head: sha256(Buffer.from(String(rights))) })
  return account
}

describe('ledger/checkpoint/state-tree', () => {
  it('has one root for every order in which the logs arrive, kept up or from scratch, and its sums are the money of all accounts', () => {
    fc.assert(fc.property(fc.nat(), fc.integer({ min: 1, max: 4_000 }), (seed, length) => {
      const { world } = live(tape(seed, length))
      const unit = seededUnit(seed)
      const kept = createStateTree()
      const state = foldInOrder(world.logs, (count) => Math.floor(unit() * count), (now) => {
        if (unit() > 0.3) return
        kept.update(now.accounts, now.touched)
        now.touched = new Set()
      })
      kept.update(state.accounts, state.touched)
      const root = rootOf(state)
      expect(kept.root).to.deep.equal(root)
      expect(rootOf(foldInOrder(world.logs, (count) => count - 1)).hash).to.deep.equal(root.hash)

      let owned = 0n
      for (const { minted, spent } of state.accounts.values()) owned += minted - spent
      expect(root.money - root.debt).to.equal(owned)
      expect(moneyOf(root.totals)).to.equal(root.money)
      expect([...state.system.values()].reduce((sum, amount) => sum + amount, owned)).to.equal(0n)
    }), { numRuns: 25 })
  }).timeout(60_000)

  it('proves each account, and nothing that was changed', () => {
    const state = createState(foldNetwork, foldHubKeys)
    const unit = seededUnit(5)
    for (let number = 0; number < 300; number += 1) state.accounts.set(idOf(number), accountWith(state, BigInt(number), unit))
    const tree = createStateTree()
    tree.update(state.accounts, state.accounts.keys())
    const { root } = tree
    for (const [id, account] of state.accounts) {
      const leaf = Uint8Array.from(writeLeaf(id, account).bytes)
      const bytes = encodeProof(tree.proof(id)!)
      const opened = openStateProof(leaf, decodeProof(bytes)!)!
      expect(opened.root).to.deep.equal({ hash: root.hash, money: root.money, debt: root.debt })
      expect(opened.leaf.account).to.equal(id)
    }
    const id = idOf(17)
    const leaf = Uint8Array.from(writeLeaf(id, state.accounts.get(id)!).bytes)
    const path = encodeProof(tree.proof(id)!)
    const fits = (leafBytes: Uint8Array, pathBytes: Uint8Array) => {
      const proof = decodeProof(pathBytes)
      const opened = proof === undefined ? undefined : openStateProof(leafBytes, proof)
      return opened !== undefined && Buffer.compare(opened.root.hash, root.hash) === 0 && opened.root.money === root.money && opened.root.debt === root.debt
    }
    const flipped = (bytes: Uint8Array, at: number) => Uint8Array.from(bytes, (byte, place) => place === at ? byte ^ 1 : byte)
    expect(fits(leaf, path)).to.equal(true)
    for (let at = 0; at < leaf.byteLength; at += 1) expect(fits(flipped(leaf, at), path), `leaf byte ${at}`).to.equal(false)
    for (let at = 0; at < path.byteLength; at += 1) expect(fits(leaf, flipped(path, at)), `path byte ${at}`).to.equal(false)
    for (let cut = 1; cut < path.byteLength; cut += 7) expect(fits(leaf, path.subarray(0, cut)), `path cut at ${cut}`).to.equal(false)
    // Another account's leaf in this place, and this account's under another path.
    expect(fits(Uint8Array.from(writeLeaf(idOf(18), state.accounts.get(idOf(18))!).bytes), path)).to.equal(false)
    expect(fits(leaf, encodeProof(tree.proof(idOf(18))!))).to.equal(false)
    expect(tree.proof(idOf(1_000))).to.equal(undefined)
  })

  it('stands where paths are long, and on no account at all', () => {
    const state = createState(foldNetwork, foldHubKeys)
    expect(rootOf(state)).to.deep.include({ accounts: 0, money: 0n, debt: 0n })
    // Two accounts that share the first three steps of their path.
    const first = idOf(0)
    const pathOf = (id: string) => toHex(sha256(Buffer.from(id, 'hex'))).slice(0, 3)
    let near = 1
    while (pathOf(idOf(near)) !== pathOf(first)) near += 1
    for (const id of [first, idOf(near)]) state.accounts.set(id, accountWith(state, 5n, () => 0))
    const tree = createStateTree()
    tree.update(state.accounts, [first])
    expect(tree.proof(first)).to.have.length(1)
    tree.update(state.accounts, [idOf(near)])
    expect(tree.proof(first)!.length).to.be.greaterThan(3)
    expect(openStateProof(writeLeaf(first, state.accounts.get(first)!).bytes, tree.proof(first)!)!.root.hash).to.deep.equal(tree.root.hash)
    const other = createStateTree()
    other.update(state.accounts, [idOf(near), first])
    expect(other.root).to.deep.equal(tree.root)
  })

  it('changes its root with every amount of an account, and with its entries', () => {
    const state = createState(foldNetwork, foldHubKeys)
    const id = idOf(3)
    state.accounts.set(id, accountWith(state, 900n, () => 0))
    const before = toHex(rootOf(state).hash)
    const seen = new Set([before])
    const changes: ((account: AccountState) => void)[] = [
      (account) => { account.rights.set('2/1', 901n) }, (account) => { account.frozen.set('1/1', 1n) }, (account) => { account.held += 1n },
      (account) => { account.inflight += 1n }, (account) => { account.back += 1n }, (account) => { account.debt += 1n }, (account) => { account.minted += 1n },
      (account) => { account.spent += 1n }, (account) => { account.chains.get('0/1')!.entries += 1 }, (account) => { account.chains.get('0/1')!.head = new Uint8Array(32) },
      (account) => { account.quota.set(20_000, { inflight: 0, logs: new Map([['0/1', { used: 5, given: 0, accepted: 0, quota: 10 }]]) }) },
    ]
    for (const change of changes) {
      change(state.accounts.get(id)!)
      seen.add(toHex(rootOf(state).hash))
    }
    expect(seen.size).to.equal(changes.length + 1)
    // Rows of zero are nothing.
    const now = rootOf(state).hash
    state.accounts.get(id)!.rights.set('0/9', 0n)
    expect(rootOf(state).hash).to.deep.equal(now)
  })

  it('reads back what it writes, amounts above 2^64 too, and refuses an amount below zero', () => {
    const state = createState(foldNetwork, foldHubKeys)
    const account = accountWith(state, 2n ** 70n + 3n, () => 0)
    const { bytes, totals } = writeLeaf(idOf(1), account)
    const leaf = readLeaf(bytes)!
    for (const name of totalNames) expect(leaf.totals[name], name).to.equal(totals[name])
    expect(leaf.chains).to.have.length(3)
    expect(readLeaf(bytes.subarray(0, bytes.byteLength - 1))).to.equal(undefined)
    account.rights.set('0/1', -1n)
    expect(() => writeLeaf(idOf(1), account)).to.throw(RangeError, 'negative')
  })

  it('has the root of all its accounts after many changes', function () {
    this.timeout(60_000)
    const state = createState(foldNetwork, foldHubKeys)
    const unit = seededUnit(9)
    for (let number = 0; number < 5_000; number += 1) state.accounts.set(idOf(number), accountWith(state, BigInt(Math.floor(unit() * 1e9)), unit))
    const tree = createStateTree()
    tree.update(state.accounts, state.accounts.keys())
    const ids = [...state.accounts.keys()]
    for (let round = 0; round < 3; round += 1) {
      const changed = new Set<string>()
      while (changed.size < 500) changed.add(ids[Math.floor(unit() * ids.length)]!)
      for (const id of changed) state.accounts.get(id)!.held += 1n
      tree.update(state.accounts, changed)
    }
    expect(tree.root.hash).to.deep.equal(rootOf(state).hash)
  })
})
