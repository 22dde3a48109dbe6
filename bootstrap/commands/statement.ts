/** `triforce statement`: what came in, what went out and why; and the signed file that proves it to others. */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { formatCredits } from '../../protocol/units.ts'
import type { ApiClient } from '../api-client.ts'
import { usageError } from '../command-error.ts'
import { statementListSchema, type StatementLineView } from '../money-schemas.ts'
import { parseCount, parseTime } from '../option-parsers.ts'
import { csvHeader, csvOf, isMovement, signedCredits, whyText } from '../statement-lines.ts'
import { formatTable, formatTime } from '../table.ts'
import { argumentOf } from './arguments.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'
import { addStatementVerifyCommand } from './statement-verify.ts'

/** What the bridge gives at most in one answer. */
const PAGE_LINES = 100
const LINES_MAX = 1_000_000
/** A screen and a half; files and pipes get everything. */
const LINES_SHOWN = 50

interface StatementFlags extends ClientFlags {
  readonly from?: number
  readonly to?: number
  readonly limit?: number
  readonly all?: boolean
  readonly csv?: boolean
  readonly file?: string
}

export function addStatementCommand(program: Command, context: CommandContext): void {
  const statement = withClientFlags(program.command('statement').description('show what came into your account and what went out, newest first'))
    .option('--from <time>', 'from this time on: 2026-11-01, or 2026-11-01T12:00:00Z (UTC)', argumentOf('--from', parseTime))
    .option('--to <time>', 'up to this time, which is not part of it', argumentOf('--to', parseTime))
    .option('--limit <count>', `how many lines (default: ${LINES_SHOWN} on a terminal, else all)`, argumentOf('--limit', parseCount(1, LINES_MAX)))
    .option('--all', 'show also what only moved within the account: reservations, transfers between hubs')
    .option('--csv', 'print comma-separated values, for a spreadsheet')
    .option('--file <file>', 'write the signed statement, which "statement verify" checks without a network')
    .action(async (flags: StatementFlags) => runStatement(flags, context))
  addStatementVerifyCommand(statement, context)
}

async function runStatement(flags: StatementFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  if (flags.csv === true && flags.json === true) throw usageError('--csv and --json are two forms of one answer; give one of them')
  if (flags.from !== undefined && flags.to !== undefined && flags.to <= flags.from) throw usageError('--to must be later than --from')
  const client = await clientFor(flags, context)
  if (flags.file !== undefined) return writeStatementFile(client, flags, context)

  const limit = flags.limit ?? (flags.csv === true || flags.json === true || !terminal.stdoutIsTty ? LINES_MAX : LINES_SHOWN)
  if (flags.csv === true) {
    await terminal.write(csvHeader)
    for await (const line of linesOf(client, flags, limit)) await terminal.write(csvOf(line))
    return
  }
  const lines: StatementLineView[] = []
  for await (const line of linesOf(client, flags, limit)) lines.push(line)
  if (flags.json === true) return printJson(terminal, { data: lines, complete: lines.length < limit })
  if (lines.length === 0) return terminal.note('nothing came in and nothing went out in this time')
  for (const line of tableOf(lines)) terminal.print(line)
  terminal.note(sumsOf(lines))
  if (lines.length === limit) terminal.note(`these are the newest ${limit}; more with --limit, or in parts with --from and --to`)
}

async function writeStatementFile(client: ApiClient, flags: StatementFlags, { terminal }: CommandContext): Promise<void> {
  if (flags.csv === true || flags.from !== undefined || flags.to !== undefined || flags.limit !== undefined) {
    throw usageError('--file writes the whole signed statement; --csv, --from, --to and --limit do not go with it')
  }
  const path = resolve(flags.file!)
  await writeFile(path, await (await client.send('/v1/statement/file')).text())
  if (flags.json === true) printJson(terminal, { file: path })
  else terminal.note(`wrote ${path}; check it anywhere with: triforce statement verify ${path} --federation FILE`)
}

async function* linesOf(client: ApiClient, flags: StatementFlags, limit: number): AsyncGenerator<StatementLineView> {
  const query = new URLSearchParams({ limit: String(PAGE_LINES) })
  if (flags.from !== undefined) query.set('from', String(flags.from))
  if (flags.to !== undefined) query.set('to', String(flags.to))
  let left = limit
  for (;;) {
    const page = await client.json(statementListSchema, `/v1/statement?${query.toString()}`)
    for (const line of page.data) {
      if (flags.all !== true && !isMovement(line)) continue
      yield line
      left -= 1
      if (left === 0) return
    }
    if (page.next_cursor === null || page.data.length === 0) return
    query.set('cursor', page.next_cursor)
  }
}

function tableOf(lines: readonly StatementLineView[]): string[] {
  return formatTable([
    { title: 'TIME (UTC)' }, { title: 'CREDITS', align: 'right' }, { title: 'QUOTA', align: 'right' }, { title: 'WHY', shrink: true }, { title: 'RECEIPT' },
  ], lines.map((line) => [
    formatTime(line.at), line.amount_micro_credits === 0n ? '' : signedCredits(line.amount_micro_credits),
    line.quota_tokens === 0 ? '' : `${line.quota_tokens} tok`, whyText(line), line.receipt ?? '',
  ]))
}

function sumsOf(lines: readonly StatementLineView[]): string {
  const sum = (which: (amount: bigint) => boolean): bigint => {
    return lines.reduce((all, { amount_micro_credits: amount }) => which(amount) ? all + amount : all, 0n)
  }
  return `in ${formatCredits(sum((amount) => amount > 0n))}, out ${formatCredits(-sum((amount) => amount < 0n))} credits in ${lines.length} ${lines.length === 1 ? 'line' : 'lines'}`
}
