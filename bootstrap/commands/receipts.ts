/** `triforce receipts`: what was served and paid, and the proof of it. */
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { RECEIPT_FILE_CHARS_MAX, verifyReceiptFile } from '../../ledger/receipt-file.ts'
import { receiptListSchema } from '../api-schemas.ts'
import { readBoundedText } from '../bounded-text.ts'
import { CommandError, usageError } from '../command-error.ts'
import { readFederationFile } from '../federation-file.ts'
import { localDirOf } from '../find-node.ts'
import { parseCount } from '../option-parsers.ts'
import { receiptFacts, receiptPairs } from '../receipt-lines.ts'
import { formatPairs, formatTable, formatTime } from '../table.ts'
import { argumentOf } from './arguments.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

/** What the bridge gives at most in one answer. */
const LIST_MAX = 100

interface ListFlags extends ClientFlags {
  readonly limit: number
  readonly before?: number
  readonly cursor?: string
}

interface VerifyFlags {
  readonly federation?: string
  readonly dir?: string | undefined
  readonly json?: boolean
}

interface ShowFlags extends ClientFlags {
  readonly federation?: string
  readonly out?: string
}

export function addReceiptsCommand(program: Command, context: CommandContext): void {
  const receipts = program.command('receipts').description('list, show and verify receipts')

  withClientFlags(receipts.command('list').description('list the receipts of your account, newest first'))
    .option('--limit <count>', 'how many', argumentOf('--limit', parseCount(1, LIST_MAX)), 20)
    .option('--before <time>', 'only older ones than this time in Unix milliseconds',
      argumentOf('--before', parseCount(0, Number.MAX_SAFE_INTEGER)))
    .option('--cursor <cursor>', 'go on where the list before ended, as it printed')
    .action(async (flags: ListFlags) => runList(flags, context))

  withClientFlags(receipts.command('show').description('show one receipt: on a terminal in short, in a pipe or with --json its file'))
    .argument('<id>', 'rcpt_ and 32 hexadecimal digits')
    .option('--out <file>', 'write the receipt file, for "receipts verify"')
    .option('--federation <file>', 'federation file to verify it with (or TRIFORCE_FEDERATION; default: that of --dir)')
    .action(async (id: string, flags: ShowFlags) => runShow(id, flags, context))

  receipts.command('verify').description('check a receipt file with nothing but the federation file; needs no network')
    .argument('<file>', 'what "receipts show ID --out FILE" wrote; - reads from a pipe')
    .option('--federation <file>', 'federation file (or TRIFORCE_FEDERATION; default: that of --dir)')
    .option('--dir <folder>', 'state folder with the federation file (default: ~/.triforce/local)')
    .option('--json', 'print JSON')
    .action(async (file: string, flags: VerifyFlags) => runVerify(file, flags, context))
}

async function runList(flags: ListFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  const client = await clientFor(flags, context)
  const before = flags.before === undefined ? '' : `&before=${flags.before}`
  const cursor = flags.cursor === undefined ? '' : `&cursor=${encodeURIComponent(flags.cursor)}`
  const list = await client.json(receiptListSchema, `/v1/receipts?limit=${flags.limit}${before}${cursor}`)
  if (flags.json === true) return printJson(terminal, list)
  if (list.data.length === 0) return terminal.note('no receipts yet; ask something: triforce chat "What is TriForce?"')
  for (const line of formatTable([
    { title: 'RECEIPT' }, { title: 'TIME (UTC)' }, { title: 'MODEL', shrink: true }, { title: 'TOKENS', align: 'right' }, { title: 'END' },
    { title: 'SIGNED' },
  ], list.data.map((receipt) => [
    receipt.id, formatTime(receipt.logged_at), receipt.model, `${receipt.prompt_tokens}+${receipt.completion_tokens}`, receipt.finish,
    receipt.signed_by.length === 2 ? 'both' : receipt.signed_by.join(','),
  ]))) terminal.print(line)
  if (typeof list.next_cursor === 'string') terminal.note(`older ones: --cursor ${list.next_cursor}`)
}

async function runShow(id: string, flags: ShowFlags, context: CommandContext): Promise<void> {
  if (!/^rcpt_[0-9a-f]{32}$/.test(id)) {
    throw usageError(`"${id}" is no receipt id: it is rcpt_ and 32 hexadecimal digits, as "triforce receipts list" shows`)
  }
  const { terminal } = context
  const client = await clientFor(flags, context)
  const text = await (await client.send(`/v1/receipts/${id}`)).text()
  if (flags.out !== undefined) {
    await writeFile(resolve(flags.out), text)
    terminal.note(`wrote ${resolve(flags.out)}`)
  }
  // The text as the hub sent it, so that `> receipt.json` can be verified and two hubs' answers compared to the byte.
  if (flags.json === true || !terminal.stdoutIsTty) return terminal.write(text.endsWith('\n') ? text : `${text}\n`)
  const federation = await readFederationFile(federationPath(flags, context))
  const facts = receiptFacts(verifyReceiptFile(text, federation), federation)
  if (facts.id !== id) throw new CommandError(`the node sent the receipt ${facts.id} in place of ${id}; ask another hub with --api`)
  for (const line of formatPairs([...receiptPairs(facts), ['verified', VERIFIED]])) terminal.print(line)
}

/** What verifyReceiptFile has checked, in words. */
const VERIFIED = 'signatures, hashes, place in the log: all fit this federation'

async function runVerify(file: string, flags: VerifyFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  const text = await readBoundedText(file, { charsMax: RECEIPT_FILE_CHARS_MAX, what: 'a receipt', writtenBy: 'triforce receipts show ID --out FILE' })
  const path = federationPath(flags, context)
  const federation = await readFederationFile(path)
  const facts = receiptFacts(verifyReceiptFile(text, federation), federation)
  if (flags.json === true) return printJson(terminal, { valid: true, federationFile: path, ...facts })
  terminal.print(terminal.style('green', `valid: ${VERIFIED}`))
  for (const line of formatPairs(receiptPairs(facts))) terminal.print(line)
}

function federationPath(flags: VerifyFlags, { env }: CommandContext): string {
  return resolve(flags.federation ?? (env['TRIFORCE_FEDERATION'] || join(localDirOf(flags, env), 'federation.json')))
}
