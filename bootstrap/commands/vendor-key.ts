/** `triforce vendor-key`: the account's own keys at cloud vendors, kept sealed at one node and used by it alone. */
import type { Command } from 'commander'
import { z } from 'zod'
import { askSecret } from '../ask-secret.ts'
import { usageError } from '../command-error.ts'
import { parseChoice } from '../option-parsers.ts'
import { formatTable, formatTime } from '../table.ts'
import { printable } from '../terminal.ts'
import { argumentOf } from './arguments.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

const MODES = ['priority', 'fallback'] as const

const keySchema = z.looseObject({ vendor: z.string(), mode: z.enum(MODES), last_four: z.string(), added_at: z.number() })
const keyListSchema = z.looseObject({ data: z.array(keySchema) })

interface AddFlags extends ClientFlags {
  readonly mode: typeof MODES[number]
  readonly env?: string
}

export function addVendorKeyCommand(program: Command, context: CommandContext): void {
  const vendorKey = program.command('vendor-key').description('your own keys at cloud vendors, kept sealed at one node: what they answer costs no credits')

  withClientFlags(vendorKey.command('add').description('give the node a key of yours; it is asked for, or read from a pipe or the environment'))
    .argument('<vendor>', 'such as openai, anthropic or groq')
    .option('--mode <mode>', 'priority: before the federation; fallback: where the federation cannot answer', argumentOf('--mode', parseChoice(MODES)), 'priority')
    .option('--env <variable>', 'the variable of the environment that holds the key, such as OPENAI_API_KEY')
    .action(async (vendor: string, flags: AddFlags) => runAdd(vendor, flags, context))
  withClientFlags(vendorKey.command('list').description('list your keys at this node, by their last four characters'))
    .action(async (flags: ClientFlags) => runList(flags, context))
  withClientFlags(vendorKey.command('rm').description('take a key away from the node'))
    .argument('<vendor>', 'as "triforce vendor-key list" shows it')
    .action(async (vendor: string, flags: ClientFlags) => runRemove(vendor, flags, context))
}

async function runAdd(vendor: string, flags: AddFlags, context: CommandContext): Promise<void> {
  const { terminal, env } = context
  const client = await clientFor(flags, context)
  const key = flags.env === undefined ? await askSecret(vendor, 'vendor-key add') : env[flags.env]?.trim() ?? ''
  if (key === '') throw usageError(`--env ${flags.env ?? ''} is not set in the environment`)
  const added = await client.json(keySchema, '/v1/vendor-keys', { method: 'POST', body: { vendor, key, mode: flags.mode } })
  if (flags.json === true) return printJson(terminal, added)
  terminal.note(`${client.target.api} keeps your key …${printable(added.last_four)} for ${printable(added.vendor)}, sealed on its disk; it is used for models such as ${printable(added.vendor)}/…`)
}

async function runList(flags: ClientFlags, context: CommandContext): Promise<void> {
  const list = await (await clientFor(flags, context)).json(keyListSchema, '/v1/vendor-keys')
  if (flags.json === true) return printJson(context.terminal, list)
  if (list.data.length === 0) return context.terminal.note('this node keeps no vendor key of yours; give it one: triforce vendor-key add openai')
  for (const line of formatTable([{ title: 'VENDOR' }, { title: 'KEY' }, { title: 'MODE' }, { title: 'ADDED (UTC)' }], list.data.map(({ vendor, mode, last_four: end, added_at: at }) => [
    printable(vendor), `…${printable(end)}`, mode, formatTime(at),
  ]))) context.terminal.print(line)
}

async function runRemove(vendor: string, flags: ClientFlags, context: CommandContext): Promise<void> {
  await (await clientFor(flags, context)).send(`/v1/vendor-keys/${encodeURIComponent(vendor)}`, { method: 'DELETE' })
  if (flags.json === true) return printJson(context.terminal, { removed: vendor })
  context.terminal.note(`the key for ${printable(vendor)} is removed from this node`)
}
