/** Vectors of the state tree and of a checkpoint: leaves, every node, a proof, the signed text. */
import { hash } from 'node:crypto'
import { checkpointBytes, NO_CHECKPOINT_HASH, signCheckpoint, type Checkpoint } from '../../ledger/checkpoint/checkpoint.ts'
import { writeLeaf, type StateTotals } from '../../ledger/checkpoint/state-leaf.ts'
import { createStateTree, encodeProof, type StateTree } from '../../ledger/checkpoint/state-tree.ts'
import { emptyAccount, createState, type AccountId, type AccountState } from '../../ledger/fold/state.ts'
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { signedBytes } from '../../protocol/signed.ts'
import { chain } from './frames.ts'
import { ada, DAY0, grace, hubKeys, hubSigners, named, NETWORK, T0 } from './fixtures.ts'
import { toJson, type Json } from './format.ts'

const ACCOUNTS = 40

function accountsOfTree(): ReadonlyMap<AccountId, AccountState> {
  const state = createState(NETWORK, hubKeys)
  const accounts = new Map<AccountId, AccountState>()
  const open = (id: AccountId) => {
    const account = emptyAccount(state, id)
    accounts.set(id, account)
    return account
  }
  const rich = open(toHex(ada))
  rich.rights.set('0/1', 5_000_000n).set('1/7', 2n ** 62n).set('2/1', 0n)
  rich.frozen.set('0/1', 70_000n)
  rich.held = 12_500_000n
  rich.inflight = 500_000n
  rich.back = 5_208n
  rich.minted = 2n ** 62n + 30_075_208n
  rich.spent = 12_000_000n
  rich.quota.set(DAY0 - 1, { logs: new Map([['0/1', { used: 10, given: 0, accepted: 0, quota: 10_000 }]]), inflight: 0 })
  rich.quota.set(DAY0, { logs: new Map([['1/7', { used: 0, given: 0, accepted: 1_000, quota: 10_000 }], ['0/1', { used: 4_000, given: 1_000, accepted: 0, quota: 10_000 }]]), inflight: 0 })
  rich.chains.set('0/1', { entries: 4, head: named('head of 0/1') }).set('1/7', { entries: 1, head: named('head of 1/7') })
  const indebted = open(toHex(grace))
  indebted.minted = 100n
  indebted.spent = 130n
  indebted.debt = 30n
  indebted.chains.set('0/1', { entries: 2, head: named('head of Grace') })
  for (let index = 0; index < ACCOUNTS; index += 1) {
    const account = open(toHex(named(`account ${index}`, 16)))
    account.minted = BigInt(index)
    account.rights.set(`${index % 3}/1`, BigInt(index))
  }
  return accounts
}

function treeOf(accounts: ReadonlyMap<AccountId, AccountState>): StateTree {
  const tree = createStateTree()
  tree.update(accounts, accounts.keys())
  return tree
}

const totalsJson = (totals: StateTotals) => toJson({ ...totals })

export function stateTreeVectors(): { readonly [key: string]: Json } {
  const accounts = accountsOfTree()
  const tree = treeOf(accounts)
  const { root } = tree
  const proven = [...accounts.keys()].slice(0, 3)
  return {
    leaves: [...accounts].map(([account, state]) => {
      const { bytes, totals } = writeLeaf(account, state)
      return { account, path: hash('sha256', Buffer.from(account, 'hex'), 'hex'), bytes: toHex(bytes), hash: toHex(sha256(Uint8Array.of(0), bytes)), totals: totalsJson(totals) }
    }),
    root: { hash: toHex(root.hash), accounts: root.accounts, money: toJson(root.money), debt: toJson(root.debt), totals: totalsJson(root.totals) },
    proofs: proven.map((account) => ({ account, bytes: toHex(encodeProof(tree.proof(account)!)) })),
  }
}

export function checkpointVectors(): { readonly [key: string]: Json } {
  const { root } = treeOf(accountsOfTree())
  const frame = chain().at(-1)!
  const checkpoint: Checkpoint = {
    network: NETWORK, round: 1, prev: NO_CHECKPOINT_HASH, timeMs: T0 + 5_000,
    logs: [
      { log: { hub: 0, epoch: 1 }, frame: frame.header.no, treeSize: frame.header.treeSize, treeRoot: frame.header.treeRoot, is: 'live' },
      { log: { hub: 1, epoch: 7 }, frame: 1, treeSize: 1, treeRoot: named('tree of 1/7'), is: 'sealed' },
    ],
    root: root.hash, accounts: root.accounts, totals: root.totals, system: [['system:PROMO', -(2n ** 62n)], ['system:REVENUE', 12_000_000n]],
  }
  const body = checkpointBytes(checkpoint)
  return {
    text: Buffer.from(body).toString('utf8'), sha256: toHex(sha256(body)), signedBytes: toHex(signedBytes('checkpoint', body)),
    signatures: [0, 2].map((hub) => ({ hub, signature: toHex(signCheckpoint(hubSigners[hub]!, body)) })),
  }
}
