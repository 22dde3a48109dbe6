/** `triforce admin price`, `tiers` and `hardware`: show a table of the rules, or sign a new revision of it. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { z } from 'zod'
import { formatCredits } from '../../protocol/units.ts'
import type { TableName } from '../admin-client.ts'
import { CommandError, usageError } from '../command-error.ts'
import { findAdmin, type AdminFlags } from '../find-admin.ts'
import type { TableView } from '../money-schemas.ts'
import { withPath } from '../private-file.ts'
import { formatTable } from '../table.ts'
import { tellSigned, withAdminFlags } from './admin-common.ts'
import type { CommandContext } from './context.ts'

interface RuleFlags extends AdminFlags {
  readonly file?: string
  readonly show?: boolean
}

const commands: readonly (readonly [name: string, table: TableName, what: string])[] = [
  ['price', 'prices', 'what models cost, and packs of credits'],
  ['tiers', 'tiers', 'what each tier has a day, and what it earns'],
  ['hardware', 'hardware', 'what an hour of each kind of hardware earns'],
]

const fileSchema = z.union([z.object({ content: z.record(z.string(), z.unknown()) }).transform(({ content }) => content), z.record(z.string(), z.unknown())])

/** A table of all models of all providers is far smaller. */
const FILE_CHARS_MAX = 2 * 1024 * 1024

export function addRuleCommands(admin: Command, context: CommandContext): void {
  for (const [name, table, what] of commands) {
    withAdminFlags(admin.command(name).description(`show or change ${what}`))
      .option('--show', 'show the table that holds now; with --json in the form that --file takes')
      .option('--file <file>', 'sign this table as the next revision; it holds when a second hub has signed it')
      .action(async (flags: RuleFlags) => runRules(name, table, flags, context))
  }
}

async function runRules(name: string, table: TableName, flags: RuleFlags, context: CommandContext): Promise<void> {
  if ((flags.show === true) === (flags.file !== undefined)) throw usageError(`give --show, or --file TABLE.json (begin with: triforce admin ${name} --show --json > TABLE.json)`)
  const { admin, api } = await findAdmin(flags, context.env)
  const now = await admin.table(table)
  if (flags.file === undefined) return show(now, flags, context)
  const content = await readTable(flags.file)
  await tellSigned(await admin.propose({ type: 'table', table, rev: now.rev + 1, content }), { flags, api }, context)
}

async function readTable(file: string): Promise<Record<string, unknown>> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw withPath(cause, file)
  }
  if (text.length > FILE_CHARS_MAX) throw new CommandError(`${file} is larger than a table can be`)
  try {
    return fileSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new CommandError(`${file} is not a table in JSON; see what one looks like with --show --json`, { cause })
  }
}

/** Rows of plain fields, with amounts of money in credits. */
function show({ table, rev, content }: TableView, flags: RuleFlags, { terminal }: CommandContext): void {
  if (flags.json === true) return terminal.print(JSON.stringify({ table, rev, content }, null, 2))
  terminal.print(`${table} table, revision ${rev}${rev === 0 ? ' (the plan)' : ''}${table === 'prices' ? '; credits for 1,000 tokens' : ''}`)
  const rest: string[] = []
  for (const [field, value] of Object.entries(content)) {
    if (isRows(value) && value.length > 0) {
      const names = Object.keys(value[0]!)
      terminal.print('')
      for (const line of formatTable(names.map((name, index) => ({ title: titleOf(name), shrink: index > 0 })), value.map((row) => names.map((name) => cellOf(name, row[name]))))) terminal.print(line)
    } else {
      rest.push(`${titleOf(field).toLowerCase()}: ${cellOf(field, value)}`)
    }
  }
  if (rest.length > 0) terminal.print(`\n${rest.join('\n')}`)
}

function isRows(value: unknown): value is readonly Record<string, unknown>[] {
  return Array.isArray(value) && value.every((row) => typeof row === 'object' && row !== null && !Array.isArray(row))
}

/** `promptMicroCredits` is shown in credits, so it is called PROMPT CREDITS. */
function titleOf(field: string): string {
  return field.replace(/MicroCredits|microCredits/, 'Credits').replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').toUpperCase()
}

function cellOf(field: string, value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (/microCredits/i.test(field) && typeof value === 'string' && /^\d{1,19}$/.test(value)) return formatCredits(BigInt(value))
  if (Array.isArray(value)) return value.map(String).join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}
