/** `triforce contributor`: the machines that an account lends, and what a machine earns and why. */
import type { Command } from 'commander'
import { parseTimes } from '../../node/lending/schedule.ts'
import { doneSchema } from '../api-schemas.ts'
import { usageError } from '../command-error.ts'
import { lendingReportSchema, registeredSchema, registrationListSchema, registrationSchema, type RegistrationView } from '../lending-schemas.ts'
import { formatTable } from '../table.ts'
import { printable } from '../terminal.ts'
import { argumentOf, collect } from './arguments.ts'
import { addControlCommands } from './lending.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

interface WishFlags extends ClientFlags {
  readonly hours?: number
  readonly schedule?: string
  readonly models?: readonly string[]
}

interface RegisterFlags extends WishFlags {
  readonly gpu: string
  readonly vram: number
  readonly cuda?: string
}

export function addContributorCommand(program: Command, context: CommandContext): void {
  const contributor = program.command('contributor').description('the machines that you lend; "triforce start --mode contributor" registers one by itself')

  withClientFlags(contributor.command('list').description('list the machines of the account'))
    .action(async (flags: ClientFlags) => runList(flags, context))

  withClientFlags(contributor.command('status').description('say what the machine that lends here, or each of the account\'s, earns and why'))
    .action(async (flags: ClientFlags) => runReport(flags, context))

  addControlCommands(contributor, context)

  withWishFlags(withClientFlags(contributor.command('register').description('announce a machine before its node is there, or say hours and models of the one that lends here')
    .requiredOption('--gpu <name>', 'graphics card, such as "RTX 4090" or "2x A100"; "" for none')
    .requiredOption('--vram <gb>', 'its memory in GB; of all cards together', argumentOf('--vram', parseNumber(0, 16_384)))
    .option('--cuda <version>', 'CUDA version')))
    .action(async (flags: RegisterFlags) => runRegister(flags, context))

  withWishFlags(withClientFlags(contributor.command('update').description('change hours and models of a machine').argument('<id>', 'reg_… as "contributor list" shows it')))
    .action(async (id: string, flags: WishFlags) => runUpdate(id, flags, context))

  withClientFlags(contributor.command('recheck').description('have a machine that failed its checks checked again').argument('<id>', 'reg_… as "contributor list" shows it'))
    .action(async (id: string, flags: ClientFlags) => runRecheck(id, flags, context))

  withClientFlags(contributor.command('unregister').description('lend a machine no longer').argument('<id>', 'reg_… as "contributor list" shows it')
    .option('--revoke', 'for good: the machine\'s key never earns again'))
    .action(async (id: string, flags: ClientFlags & { readonly revoke?: boolean }) => runUnregister(id, flags, context))
}

function withWishFlags(command: Command): Command {
  return command
    .option('--hours <count>', 'hours a day', argumentOf('--hours', parseNumber(0, 24)))
    .option('--schedule <times>', 'such as 18:00-02:00', argumentOf('--schedule', parseTimes))
    .option('--models <id>', 'model it can serve; may be given several times', collect)
}

async function runList(flags: ClientFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  const { data } = await (await clientFor(flags, context)).json(registrationListSchema, '/v1/contributor/registrations')
  if (flags.json === true) return printJson(terminal, data)
  if (data.length === 0) return terminal.note('no machine is registered for this account; lend one with: triforce start --mode contributor --federation FILE --key YOUR_API_KEY')
  for (const line of formatTable([
    { title: 'MACHINE', shrink: true }, { title: 'CLASS' }, { title: 'BUSY/H', align: 'right' }, { title: 'STANDBY/H', align: 'right' }, { title: 'STATE' }, { title: 'CHECK' }, { title: 'ID' },
  ], data.map((one) => [one.name, one.class, one.credits_per_hour, one.standby_credits_per_hour, stateOf(one), one.check.state, one.id]))) terminal.print(line)
}

function stateOf({ node, connected }: RegistrationView): string {
  if (node === null) return 'announced'
  return connected ? 'connected' : 'away'
}

async function runReport(flags: ClientFlags, context: CommandContext): Promise<void> {
  const client = await clientFor(flags, context)
  const report = await client.json(lendingReportSchema, '/v1/contributor/status')
  if (flags.json === true) return printJson(context.terminal, report)
  for (const line of report.explanation) context.terminal.print(printable(line))
}

async function runRegister(flags: RegisterFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  const registered = await (await clientFor(flags, context)).json(registeredSchema, '/v1/contributor/register', {
    method: 'POST', body: { hardware: { gpu: flags.gpu, vram: flags.vram, cuda_version: flags.cuda ?? '' }, ...wishesOf(flags) },
  })
  if (flags.json === true) return printJson(terminal, registered)
  tell(registered, context)
  for (const line of [...registered.notes, registered.next]) terminal.note(printable(line))
}

async function runUpdate(id: string, flags: WishFlags, context: CommandContext): Promise<void> {
  const [path, wishes] = [pathOf(id), wishesOf(flags)]
  if (Object.keys(wishes).length === 0) throw usageError('nothing to change: give --hours, --schedule or --models')
  const changed = await (await clientFor(flags, context)).json(registrationSchema, path, { method: 'PATCH', body: wishes })
  if (flags.json === true) return printJson(context.terminal, changed)
  tell(changed, context)
}

async function runRecheck(id: string, flags: ClientFlags, context: CommandContext): Promise<void> {
  const checked = await (await clientFor(flags, context)).json(registrationSchema, `${pathOf(id)}/recheck`, { method: 'POST' })
  if (flags.json === true) return printJson(context.terminal, checked)
  context.terminal.note(printable(`${checked.name} is checked again, with questions that look like ordinary jobs: ${checked.check.text}`))
}

async function runUnregister(id: string, flags: ClientFlags & { readonly revoke?: boolean }, context: CommandContext): Promise<void> {
  const path = pathOf(id)
  const client = await clientFor(flags, context)
  await client.json(doneSchema, `${path}${flags.revoke === true ? '?revoke=true' : ''}`, { method: 'DELETE' })
  if (flags.json === true) return printJson(context.terminal, { unregistered: id, revoked: flags.revoke === true })
  context.terminal.note(flags.revoke === true
    ? `${id} is unregistered for good; what it has earned is still paid, and its key never earns again`
    : `${id} is unregistered: it ends what runs and takes no more; what it has earned is still paid. To lend it again, start it again`)
}

function pathOf(id: string): string {
  if (!/^reg_[0-9a-f]{32}$/.test(id)) throw usageError(`"${id}" is no id of a machine; "triforce contributor list" shows them`)
  return `/v1/contributor/registrations/${id}`
}

function wishesOf({ hours, schedule, models }: WishFlags): { availability?: object; models?: readonly string[] } {
  const availability = { ...(hours === undefined ? {} : { hours_per_day: hours }), ...(schedule === undefined ? {} : { schedule }) }
  return { ...(Object.keys(availability).length === 0 ? {} : { availability }), ...(models === undefined ? {} : { models }) }
}

function tell({ id, name, class: kind, credits_per_hour: busy, standby_credits_per_hour: standby, missing, account_name: account }: RegistrationView, { terminal }: CommandContext): void {
  terminal.print(id)
  terminal.note(printable(`${name} for ${account}: class ${kind}, ${busy} ${busy === '1' ? 'credit' : 'credits'} an hour while it answers, ${standby} while it stands by`))
  for (const { level, have, need, fix } of missing) terminal.note(printable(`${level === 'minimum' ? 'missing' : 'could be better'}: ${have}, ${need} wanted; ${fix}`))
}

function parseNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isFinite(value) || value < min || value > max) throw new RangeError(`must be a number from ${min} to ${max}`)
    return value
  }
}
