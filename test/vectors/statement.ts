/** Vector of a statement file: one account's life in the log of its home hub, folded, checkpointed, signed by two hubs. */
import { checkpointBytes, NO_CHECKPOINT_HASH, openFinal, signCheckpoint } from '../../ledger/checkpoint/checkpoint.ts'
import { readLeaf, writeLeaf } from '../../ledger/checkpoint/state-leaf.ts'
import { createStateTree } from '../../ledger/checkpoint/state-tree.ts'
import { writeStatementFile } from '../../ledger/checkpoint/statement-file.ts'
import { createStatementPicker } from '../../ledger/checkpoint/statement-picker.ts'
import { encodeEntry, holdEidOf, type Entry, type Unnamed } from '../../ledger/entries/entry.ts'
import { foldFrame } from '../../ledger/fold/frame-fold.ts'
import { homeOf } from '../../ledger/fold/homes.ts'
import { createState } from '../../ledger/fold/state.ts'
import { systemTotals } from '../../ledger/fold/views.ts'
import { buildFrame, emptyTail, type CheckedFrame } from '../../ledger/frame.ts'
import { toHex } from '../../protocol/bytes.ts'
import { epochKeyOf } from './entry-samples.ts'
import { ada, federation, federationText, grace, hubKeys, hubSigners, named, NETWORK, signerOf, T0, type KeyName } from './fixtures.ts'
import type { Json } from './format.ts'

const account = toHex(ada)
const home = homeOf(hubKeys, account)
const logKey = signerOf(`log ${home}` as KeyName)
const request = named('statement request', 16)
const hold = holdEidOf(home, request)

const life: readonly (readonly Unnamed<Entry>[])[] = [
  [
    { k: 'EpochOpen', hub: home, epoch: 1, key: epochKeyOf(home, 1, logKey.publicKey) },
    { k: 'AccountOpen', account: ada, publicKey: signerOf('Ada').publicKey, name: 'Ada', tier: 'free' },
    { k: 'AccountOpen', account: grace, publicKey: signerOf('Grace').publicKey, name: 'Grâce 🦉', tier: 'free' },
  ],
  [
    { k: 'Grant', account: ada, amount: 5_000_000n, source: 'welcome' },
    { k: 'Grant', account: grace, amount: 7n, source: 'welcome' },
  ],
  [{
    k: 'Hold', hub: home, request, requestHash: named('request'), account: ada, priceRow: 'groq', priceRev: 0, credits: 2_000_000n, expiresAt: T0 + 600_000,
  }],
  [
    { k: 'Settle', hold, promptTokens: 400, completionTokens: 833, charge: 1_233_000n, quotaTokens: 0, receipt: named('receipt id', 16) },
    { k: 'Give', request: named('statement give', 16), account: ada, unit: 0, target: { hub: (home + 1) % 3, epoch: 1 }, amount: 250_000n },
  ],
]

function framesOfLife(): readonly CheckedFrame[] {
  const frames: CheckedFrame[] = []
  const seen = [0, 1, 2].map(() => ({ epoch: 0, no: 0 }))
  for (const [place, entries] of life.entries()) {
    frames.push(buildFrame(frames.at(-1)?.tail ?? emptyTail({ hub: home, epoch: 1 }), entries.map(encodeEntry), {
      network: NETWORK, signer: logKey, nowMs: T0 + 1_000 * place, seen,
    }))
  }
  return frames
}

export function statementFileVectors(): { readonly [key: string]: Json } {
  const frames = framesOfLife()
  const state = createState(NETWORK, hubKeys)
  for (const frame of frames) foldFrame(state, frame, { me: home })
  const tree = createStateTree()
  tree.update(state.accounts, state.accounts.keys())
  const { hash: root, accounts, totals } = tree.root
  const last = frames.at(-1)!.header
  const body = checkpointBytes({
    network: NETWORK, round: 1, prev: NO_CHECKPOINT_HASH, timeMs: T0 + 10_000, root, accounts, totals, system: [...systemTotals(state)],
    logs: [{ log: { hub: home, epoch: 1 }, frame: last.no, treeSize: last.treeSize, treeRoot: last.treeRoot, is: 'live' }],
  })
  const final = openFinal(body, [0, 2].map((hub) => ({ hub, signature: signCheckpoint(hubSigners[hub]!, body) })), { network: NETWORK, hubKeys })
  const leaf = Uint8Array.from(writeLeaf(account, state.accounts.get(account)!).bytes)
  const picker = createStatementPicker(account, (id) => state.holds.get(id)?.account)
  for (const frame of frames) picker.add(frame)
  const file = writeStatementFile({
    final, leaf, path: tree.proof(account)!, frames: picker.pick(readLeaf(leaf)!),
    epochKeys: [{ log: { hub: home, epoch: 1 }, certificate: frames[0]!.tail.epochKey!.certificate }],
  }, federation)
  return { federation: federationText, file }
}
