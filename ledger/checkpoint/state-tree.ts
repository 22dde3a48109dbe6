/**
 * The state tree: a Merkle-sum trie with 16 branches over all accounts, kept up to date for the accounts that changed.
 *
 * An account stands under SHA-256(account id), four bits a level, at the first level at which no other account shares its
 * path; only the root is a node whatever stands below. So its form depends on the set of accounts alone. Sums of a child:
 * `money` (available + held + inflight + frozen + back) and `debt`, µcr in 16 bytes each, big-endian.
 *
 *     leaf = SHA-256(0x00 | leaf bytes, see state-leaf.ts)
 *     node = SHA-256(0x01 | level 1 | children 2, bit 15 is branch 0 | for each child ascending: hash 32, money 16, debt 16)
 *
 * A proof shows the sums of neighbours, but not whose they are: it is for the holder of the account only.
 * Spec: docs/ledger.md#checkpoints
 */
import { sha256, SHA256_BYTES } from '../../protocol/crypto.ts'
import type { AccountId, AccountState } from '../fold/state.ts'
import { AMOUNT_BYTES, readAmount, viewOf, writeAmount } from './amounts.ts'
import { moneyOf, noTotals, readLeaf, totalNames, writeLeaf, type StateLeaf, type StateTotals } from './state-leaf.ts'

const BRANCHES = 16
const CHILD_BYTES = SHA256_BYTES + 2 * AMOUNT_BYTES
const LEVELS_MAX = 2 * SHA256_BYTES

/** A hash, and the sums that it vouches for. */
export interface Summed {
  readonly hash: Uint8Array
  readonly money: bigint
  readonly debt: bigint
}

export interface StateRoot extends Summed {
  readonly accounts: number
  readonly totals: StateTotals
}

/** For each level from the root down: the children beside the one that leads to the account, ascending. */
export type StateProof = readonly (readonly (Summed & { readonly branch: number })[])[]

export interface StateTree {
  /** Takes over what these accounts are now. Cost: their number times the depth. Throws a RangeError for an amount below 0. */
  update(accounts: ReadonlyMap<AccountId, AccountState>, changed: Iterable<AccountId>): void
  readonly root: StateRoot
  /** Undefined where the tree does not have the account. */
  proof(account: AccountId): StateProof | undefined
}

/** `row`: its hash and sums as they stand in the parent, so that a parent is hashed without reckoning. */
interface Leaf {
  readonly account: AccountId
  readonly key: Uint8Array
  readonly row: Buffer
  totals: StateTotals
}

interface Node {
  readonly children: (Leaf | Node | undefined)[]
  readonly row: Buffer
  money: bigint
  debt: bigint
  /** Its row is to be computed anew. */
  stale: boolean
}

export function createStateTree(): StateTree {
  const top = createNode()
  const leaves = new Map<AccountId, Leaf>()
  let totals: Writable<StateTotals> = { ...noTotals }
  rehash(top, 0)

  /** Goes down to the leaf's place, and adds to the sums on the way. */
  function place(leaf: Leaf, money: bigint, debt: bigint): void {
    let node = top
    for (let level = 0; ; level += 1) {
      node.stale = true
      if (money !== 0n) node.money += money
      if (debt !== 0n) node.debt += debt
      const branch = branchOf(leaf.key, level)
      const child = node.children[branch]
      if (child === undefined || child === leaf) {
        node.children[branch] = leaf
        return
      }
      if ('children' in child) {
        node = child
        continue
      }
      const parent = createNode()
      parent.children[branchOf(child.key, level + 1)] = child
      parent.money = moneyOf(child.totals)
      parent.debt = child.totals.debt
      node.children[branch] = parent
      node = parent
    }
  }

  function updateOne(account: AccountId, state: AccountState): void {
    const { bytes, totals: now } = writeLeaf(account, state)
    let leaf = leaves.get(account)
    if (leaf === undefined) {
      leaf = { account, key: keyOf(account), row: Buffer.allocUnsafeSlow(CHILD_BYTES), totals: noTotals }
      leaves.set(account, leaf)
    }
    const before = leaf.totals
    const money = moneyOf(now)
    leaf.totals = now
    writeRow(leaf.row, hashOfLeaf(bytes), money, now.debt)
    place(leaf, money - moneyOf(before), now.debt - before.debt)
    for (const name of totalNames) if (now[name] !== before[name]) totals[name] += now[name] - before[name]
  }

  return {
    update(accounts, changed) {
      totals = { ...totals }
      for (const account of changed) {
        const state = accounts.get(account)
        if (state === undefined) throw new RangeError(`the account ${account} is not in the state`)
        updateOne(account, state)
      }
      if (top.stale) rehash(top, 0)
    },
    get root() {
      return { ...summedOf(top.row), accounts: leaves.size, totals }
    },
    proof(account) {
      const leaf = leaves.get(account)
      if (leaf === undefined) return undefined
      const levels: (Summed & { readonly branch: number })[][] = []
      let node: Node | Leaf = top
      for (let level = 0; 'children' in node; level += 1) {
        const branch = branchOf(leaf.key, level)
        levels.push(node.children.flatMap((child, at) => child === undefined || at === branch ? [] : [{ branch: at, ...summedOf(child.row) }]))
        node = node.children[branch]!
      }
      return levels
    },
  }
}

/** What the leaf says and the root that leaf and proof give; undefined where they do not fit together. The root is to be compared. */
export function openStateProof(leafBytes: Uint8Array, proof: StateProof): { readonly leaf: StateLeaf; readonly root: Summed } | undefined {
  const leaf = readLeaf(leafBytes)
  if (leaf === undefined || proof.length === 0 || proof.length > LEVELS_MAX) return undefined
  const key = keyOf(leaf.account)
  let running: Summed = { hash: hashOfLeaf(leafBytes), money: moneyOf(leaf.totals), debt: leaf.totals.debt }
  for (let level = proof.length - 1; level >= 0; level -= 1) {
    const children: ({ readonly row: Buffer } | undefined)[] = Array.from({ length: BRANCHES })
    let { money, debt } = running
    for (const sibling of proof[level]!) {
      if (children[sibling.branch] !== undefined) return undefined
      children[sibling.branch] = { row: rowOf(sibling) }
      money += sibling.money
      debt += sibling.debt
    }
    const own = branchOf(key, level)
    if (children[own] !== undefined) return undefined
    children[own] = { row: rowOf(running) }
    running = { hash: hashOfNode(children, level), money, debt }
  }
  return { leaf, root: running }
}

/** Each level: children 2 (bit 15 is branch 0), then hash 32, money 16, debt 16 of each. */
export function encodeProof(proof: StateProof): Uint8Array {
  const bytes = Buffer.alloc(proof.reduce((size, level) => size + 2 + level.length * CHILD_BYTES, 0))
  let at = 0
  for (const level of proof) {
    at = bytes.writeUInt16BE(level.reduce((bits, { branch }) => bits | (0x8000 >> branch), 0), at)
    for (const child of level) at += rowOf(child).copy(bytes, at)
  }
  return new Uint8Array(bytes)
}

/** Undefined where the bytes are no proof. */
export function decodeProof(bytes: Uint8Array): StateProof | undefined {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const levels: (Summed & { readonly branch: number })[][] = []
  let at = 0
  while (at < source.byteLength) {
    if (at + 2 > source.byteLength || levels.length === LEVELS_MAX) return undefined
    const bits = source.readUInt16BE(at)
    at += 2
    const level: (Summed & { readonly branch: number })[] = []
    for (let branch = 0; branch < BRANCHES; branch += 1) {
      if ((bits & (0x8000 >> branch)) === 0) continue
      if (at + CHILD_BYTES > source.byteLength) return undefined
      level.push({ branch, ...summedOf(source.subarray(at, at + CHILD_BYTES)) })
      at += CHILD_BYTES
    }
    levels.push(level)
  }
  return levels
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] }

function createNode(): Node {
  return { children: Array.from({ length: BRANCHES }), row: Buffer.allocUnsafeSlow(CHILD_BYTES), money: 0n, debt: 0n, stale: true }
}

function rehash(node: Node, level: number): void {
  for (const child of node.children) if (child !== undefined && 'children' in child && child.stale) rehash(child, level + 1)
  writeRow(node.row, hashOfNode(node.children, level), node.money, node.debt)
  node.stale = false
}

function writeRow(row: Buffer, hashed: Uint8Array, money: bigint, debt: bigint): void {
  row.set(hashed, 0)
  const view = viewOf(row)
  writeAmount(view, writeAmount(view, SHA256_BYTES, money), debt)
}

function rowOf({ hash: hashed, money, debt }: Summed): Buffer {
  const row = Buffer.alloc(CHILD_BYTES)
  writeRow(row, hashed, money, debt)
  return row
}

function summedOf(row: Buffer): Summed {
  const view = viewOf(row)
  return { hash: Uint8Array.from(row.subarray(0, SHA256_BYTES)), money: readAmount(view, SHA256_BYTES), debt: readAmount(view, SHA256_BYTES + AMOUNT_BYTES) }
}

function keyOf(account: AccountId): Uint8Array {
  return sha256(Buffer.from(account, 'hex'))
}

function branchOf(key: Uint8Array, level: number): number {
  const byte = key[level >> 1]!
  return level % 2 === 0 ? byte >> 4 : byte & 0x0f
}

let leafInput = Buffer.alloc(4_096)

function hashOfLeaf(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength + 1 > leafInput.byteLength) leafInput = Buffer.alloc(2 * bytes.byteLength)
  leafInput[0] = 0
  leafInput.set(bytes, 1)
  return sha256(leafInput.subarray(0, 1 + bytes.byteLength))
}

const nodeInput = Buffer.alloc(4 + BRANCHES * CHILD_BYTES)
nodeInput[0] = 1

function hashOfNode(children: readonly ({ readonly row: Buffer } | undefined)[], level: number): Uint8Array {
  let bits = 0
  let at = 4
  for (let branch = 0; branch < BRANCHES; branch += 1) {
    const child = children[branch]
    if (child === undefined) continue
    bits |= 0x8000 >> branch
    nodeInput.set(child.row, at)
    at += CHILD_BYTES
  }
  nodeInput[1] = level
  nodeInput.writeUInt16BE(bits, 2)
  return sha256(nodeInput.subarray(0, at))
}
