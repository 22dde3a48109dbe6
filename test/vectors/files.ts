/** All files of test vectors by name, each made anew from fixed keys and times. */
import { checkpointVectors, stateTreeVectors } from './checkpoints.ts'
import { entryVectors } from './entries.ts'
import { keysJson, NETWORK } from './fixtures.ts'
import { vectorText } from './format.ts'
import { frameVectors, receiptFileVectors } from './frames.ts'
import { ruleVectors } from './rules.ts'
import { statementFileVectors } from './statement.ts'

export function vectorFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['keys.json', vectorText('Ed25519 keys from 32-byte seeds; peer ids', { network: NETWORK, keys: keysJson() })],
    ['entries.json', vectorText('every kind of entry', entryVectors())],
    ['frames.json', vectorText('a log of three frames', frameVectors())],
    ['rules.json', vectorText('homes of accounts, charges and their rounding, the hash chain over an account\'s entries', ruleVectors())],
    ['state-tree.json', vectorText('leaves of the state tree, its root, proofs', stateTreeVectors())],
    ['checkpoint.json', vectorText('a checkpoint and two signatures under it', checkpointVectors())],
    ['receipt-file.json', vectorText('a receipt file and the federation file that it is verified with', receiptFileVectors())],
    ['statement-file.json', vectorText('a statement file and the federation file that it is verified with', statementFileVectors())],
  ])
}
