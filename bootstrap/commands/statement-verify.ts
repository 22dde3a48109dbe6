/** `triforce statement verify`: a statement file, checked with nothing but the federation file. */
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { STATEMENT_FILE_CHARS_MAX, verifyStatement, type VerifiedStatement } from '../../ledger/checkpoint/statement-file.ts'
import type { Federation } from '../../protocol/federation.ts'
import { formatCredits } from '../../protocol/units.ts'
import { readBoundedText } from '../bounded-text.ts'
import { readFederationFile } from '../federation-file.ts'
import { localDirOf } from '../find-node.ts'
import { formatPairs, formatTime } from '../table.ts'
import { printJson, type CommandContext } from './context.ts'

interface VerifyFlags {
  readonly federation?: string
  readonly dir?: string | undefined
  readonly json?: boolean
}

export function addStatementVerifyCommand(statement: Command, context: CommandContext): void {
  statement.command('verify').description('check a statement file with nothing but the federation file; needs no network')
    .argument('<file>', 'what "statement --file FILE" wrote; - reads from a pipe')
    .option('--federation <file>', 'federation file (or TRIFORCE_FEDERATION; default: that of --dir)')
    .option('--dir <folder>', 'state folder with the federation file (default: ~/.triforce/local)')
    .option('--json', 'print JSON')
    // The command above has some of these flags too, and takes them first.
    .action(async (file: string, _own: VerifyFlags, command: Command) => runVerify(file, command.optsWithGlobals(), context))
}

async function runVerify(file: string, flags: VerifyFlags, { terminal, env }: CommandContext): Promise<void> {
  const text = await readBoundedText(file, { charsMax: STATEMENT_FILE_CHARS_MAX, what: 'a statement', writtenBy: 'triforce statement --file FILE' })
  const path = resolve(flags.federation ?? (env['TRIFORCE_FEDERATION'] || join(localDirOf(flags, env), 'federation.json')))
  const federation = await readFederationFile(path)
  const verified = verifyStatement(text, federation)
  if (flags.json === true) return printJson(terminal, { valid: true, federationFile: path, ...factsOf(verified, federation) })
  terminal.print(terminal.style('green', 'valid: signatures, balance, and every entry: nothing is changed, added or left out'))
  for (const line of formatPairs(pairsOf(verified, federation))) terminal.print(line)
}

function factsOf(verified: VerifiedStatement, federation: Federation) {
  return {
    network: federation.network, account: verified.account, asOf: verified.asOfMs, signedBy: hubNames(verified, federation),
    balanceMicroCredits: verified.balance, entries: verified.lines.length, receipts: [...verified.receipts].map((id) => `rcpt_${id}`),
  }
}

function pairsOf(verified: VerifiedStatement, federation: Federation): readonly (readonly [string, string])[] {
  const { available, held, inflight, frozen, back, debt, minted, spent } = verified.balance
  const parts = [['held', held], ['on its way', inflight], ['frozen', frozen], ['held back', back], ['debt', debt]] as const
  return [
    ['account', verified.account],
    ['network', federation.network],
    ['as of', `${formatTime(verified.asOfMs)} UTC, signed by ${hubNames(verified, federation).join(' and ')}`],
    ['credits', formatCredits(available)],
    ...parts.filter(([, amount]) => amount > 0n).map(([name, amount]) => [name, formatCredits(amount)] as const),
    ['came in', formatCredits(minted)],
    ['went out', formatCredits(spent)],
    ['entries', `${verified.lines.length}, with ${verified.receipts.size} receipts`],
  ]
}

function hubNames({ hubs }: VerifiedStatement, federation: Federation): readonly string[] {
  return hubs.map((hub) => federation.hubs[hub]?.name ?? `hub ${hub}`)
}
