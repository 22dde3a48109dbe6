/** `triforce account`: an account's own keys and its use, with nothing but an API key of it. */
import type { Command } from 'commander'
import { z } from 'zod'
import { formatCredits } from '../../protocol/units.ts'
import { usageError } from '../command-error.ts'
import { keyTermsBodyOf, withKeyTermFlags, type KeyTermFlags } from '../key-term-flags.ts'
import { parseName, parseTime } from '../option-parsers.ts'
import { publicHalfOf } from '../admin-client.ts'
import { formatPairs, formatTable, formatTime } from '../table.ts'
import { argumentOf } from './arguments.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

const termsFields = {
  scopes: z.array(z.string()), expires_at: z.number().nullable(), models: z.array(z.string()).nullable(),
  day_budget_micro_credits: z.string().nullable(), total_budget_micro_credits: z.string().nullable(), privacy: z.string().nullable(),
  friends: z.array(z.string()).nullable().default(null),
}
const keySchema = z.looseObject({ public_key: z.string(), account_name: z.string(), account: z.string(), tier: z.string(), ...termsFields })
const listedKeySchema = z.looseObject({
  public_key: z.string(), name: z.string(), created_at: z.number(), ...termsFields,
  used_today_micro_credits: z.string().optional(), used_total_micro_credits: z.string().optional(),
})
const keyListSchema = z.looseObject({ data: z.array(listedKeySchema) })
const madeKeySchema = z.looseObject({ api_key: z.string(), public_key: z.string(), name: z.string(), ...termsFields })
const usageSchema = z.looseObject({
  from: z.string(), to: z.string(), complete: z.boolean(),
  data: z.array(z.looseObject({
    day: z.string(), model: z.string(), key: z.string().nullable(), requests: z.number(), prompt_tokens: z.number(), completion_tokens: z.number(), cost_micro_credits: z.string(),
  })),
})

interface MakeFlags extends ClientFlags, KeyTermFlags {
  readonly name: string
}

interface UsageFlags extends ClientFlags {
  readonly from?: number
  readonly to?: number
}

export function addAccountCommand(program: Command, context: CommandContext): void {
  const account = program.command('account').description('your account\'s API keys, and what was used')

  withClientFlags(account.command('key').description('show what this key is and may do'))
    .action(async (flags: ClientFlags) => runKey(flags, context))
  withClientFlags(account.command('keys').description('list the API keys of the account'))
    .action(async (flags: ClientFlags) => runKeys(flags, context))
  withKeyTermFlags(withClientFlags(account.command('make-key').description('make another API key of the account, with limits or without')))
    .requiredOption('--name <name>', 'what the key is called', argumentOf('--name', parseName))
    .action(async (flags: MakeFlags) => runMake(flags, context))
  withClientFlags(account.command('revoke-key').description('make an API key of the account worthless, for good'))
    .argument('<key>', 'the API key, or its public key in hexadecimal')
    .action(async (text: string, flags: ClientFlags) => runRevoke(text, flags, context))
  withClientFlags(account.command('usage').description('show requests, tokens and credits by day, model and key'))
    .option('--from <day>', 'first day, such as 2026-11-01 (default: 30 days before --to)', argumentOf('--from', parseTime))
    .option('--to <day>', 'last day (default: today, UTC)', argumentOf('--to', parseTime))
    .action(async (flags: UsageFlags) => runUsage(flags, context))
}

type Terms = z.output<z.ZodObject<typeof termsFields>>

function limitsOf(terms: Terms): string {
  const limits = [
    ...(terms.scopes.length === 3 ? [] : [terms.scopes.join('+')]),
    ...(terms.models === null ? [] : [`only ${terms.models.join(', ')}`]),
    ...(terms.day_budget_micro_credits === null ? [] : [`${formatCredits(BigInt(terms.day_budget_micro_credits))} credits a day`]),
    ...(terms.total_budget_micro_credits === null ? [] : [`${formatCredits(BigInt(terms.total_budget_micro_credits))} credits in all`]),
    ...(terms.privacy === null ? [] : [`privacy ${terms.privacy}`]),
    ...(terms.friends === null ? [] : [`friends ${terms.friends.join(', ')}`]),
    ...(terms.expires_at === null ? [] : [`until ${formatTime(terms.expires_at)}`]),
  ]
  return limits.length === 0 ? 'none' : limits.join('; ')
}

async function runKey(flags: ClientFlags, context: CommandContext): Promise<void> {
  const key = await (await clientFor(flags, context)).json(keySchema, '/v1/key')
  if (flags.json === true) return printJson(context.terminal, key)
  for (const line of formatPairs([
    ['account', `${key.account_name} (${key.account})`], ['tier', key.tier], ['public key', key.public_key], ['limits', limitsOf(key)],
  ])) context.terminal.print(line)
}

async function runKeys(flags: ClientFlags, context: CommandContext): Promise<void> {
  const list = await (await clientFor(flags, context)).json(keyListSchema, '/v1/keys')
  if (flags.json === true) return printJson(context.terminal, list)
  for (const line of formatTable([{ title: 'NAME', shrink: true }, { title: 'PUBLIC KEY' }, { title: 'MADE (UTC)' }, { title: 'LIMITS' }, { title: 'USED TODAY', align: 'right' }], list.data.map((key) => [
    key.name, key.public_key.slice(0, 16), formatTime(key.created_at), limitsOf(key), key.used_today_micro_credits === undefined ? '' : formatCredits(BigInt(key.used_today_micro_credits)),
  ]))) context.terminal.print(line)
}

async function runMake(flags: MakeFlags, context: CommandContext): Promise<void> {
  const made = await (await clientFor(flags, context)).json(madeKeySchema, '/v1/keys', { method: 'POST', body: { name: flags.name, ...keyTermsBodyOf(flags) } })
  if (flags.json === true) return printJson(context.terminal, made)
  context.terminal.print(made.api_key)
  for (const line of formatPairs([['public key', made.public_key], ['limits', limitsOf(made)]])) context.terminal.note(line)
  context.terminal.note('The key above is shown this once: only its public half is kept.')
}

async function runRevoke(text: string, flags: ClientFlags, context: CommandContext): Promise<void> {
  const publicKey = /^[0-9a-f]{64}$/.test(text) ? text : publicHalfOf(text)
  await (await clientFor(flags, context)).send(`/v1/keys/${publicKey}`, { method: 'DELETE' })
  if (flags.json === true) return printJson(context.terminal, { revoked: publicKey })
  context.terminal.note(`revoked ${publicKey}; hubs that are up refuse it within a few seconds`)
}

async function runUsage(flags: UsageFlags, context: CommandContext): Promise<void> {
  if (flags.from !== undefined && flags.to !== undefined && flags.from > flags.to) throw usageError('--from must not be after --to')
  const day = (time: number) => new Date(time).toISOString().slice(0, 10)
  const query = new URLSearchParams({ ...(flags.from === undefined ? {} : { from: day(flags.from) }), ...(flags.to === undefined ? {} : { to: day(flags.to) }) })
  const usage = await (await clientFor(flags, context)).json(usageSchema, `/v1/usage?${query.toString()}`)
  if (flags.json === true) return printJson(context.terminal, usage)
  if (usage.data.length === 0) return context.terminal.note(`nothing was used from ${usage.from} to ${usage.to}`)
  for (const line of formatTable([
    { title: 'DAY' }, { title: 'MODEL', shrink: true }, { title: 'KEY' }, { title: 'REQUESTS', align: 'right' }, { title: 'TOKENS', align: 'right' }, { title: 'CREDITS', align: 'right' },
  ], usage.data.map((row) => [
    row.day, row.model, row.key ?? '', String(row.requests), `${row.prompt_tokens}+${row.completion_tokens}`, formatCredits(BigInt(row.cost_micro_credits)),
  ]))) context.terminal.print(line)
  if (!usage.complete) context.terminal.note('there is more than was read: ask for fewer days')
}
