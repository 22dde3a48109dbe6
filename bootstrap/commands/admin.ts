/** `triforce admin`: what the admin of a hub does to the ledger and its rules. */
import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { toTriforceError } from '../../protocol/errors.ts'
import { formatCredits } from '../../protocol/units.ts'
import { accountNamed } from '../account-named.ts'
import { usageError } from '../command-error.ts'
import { findAdmin, type AdminFlags } from '../find-admin.ts'
import { parsePositiveCredits } from '../option-parsers.ts'
import { formatTable, formatTime } from '../table.ts'
import { addAuditCommand } from './admin-audit.ts'
import { tellSigned, whatOf, withAdminFlags } from './admin-common.ts'
import { addCheckCommands } from './admin-checks.ts'
import { addProviderCommand } from './admin-provider.ts'
import { addRuleCommands } from './admin-rules.ts'
import { argumentOf } from './arguments.ts'
import { printJson, type CommandContext } from './context.ts'

/** `2026-11-01 12:00` */
const MINUTE_CHARS = 16

interface GrantFlags extends AdminFlags {
  readonly source?: string
  readonly approved?: string
  readonly propose?: boolean
}

interface SealFlags extends AdminFlags {
  readonly forced?: boolean
}

export function addAdminCommand(program: Command, context: CommandContext): void {
  const admin = program.command('admin').description('grants, prices, tiers, cloud providers, checks and repairs of the ledger, for hub admins')
  addAuditCommand(admin, context)
  addProviderCommand(admin, context)
  addCheckCommands(admin, context)

  withAdminFlags(admin.command('grant').description('give an account credits'))
    .argument('<account>', 'name or id of the account')
    .argument('<amount>', 'credits', argumentOf('<amount>', parsePositiveCredits))
    .option('--source <text>', 'why; the same source for the same account is the same grant (default: a new one)')
    .option('--propose', 'sign it as a change for another hub to sign too, where it is above this hub\'s budget of the day')
    .option('--approved <id>', 'the change (chg_…) that two hubs signed for exactly this grant')
    .action(async (account: string, amount: bigint, flags: GrantFlags) => runGrant(account, amount, flags, context))

  withAdminFlags(admin.command('seal').description('retire the log of a hub that is gone for good: another hub takes over its accounts'))
    .argument('<hub>', 'name of the hub that is gone')
    .option('--forced', 'also where the others still see it; both admins must ask for it')
    .action(async (hub: string, flags: SealFlags) => runSeal(hub, flags, context))

  addRuleCommands(admin, context)

  withAdminFlags(admin.command('approve').description('sign a change that another hub has signed, so that it holds'))
    .argument('<id>', 'chg_ and 32 hexadecimal digits')
    .action(async (id: string, flags: AdminFlags) => runApprove(id, flags, context))

  withAdminFlags(admin.command('changes').description('list changes of prices, tiers, hardware and large grants, newest first'))
    .action(async (flags: AdminFlags) => runChanges(flags, context))
}

async function runGrant(wanted: string, microCredits: bigint, flags: GrantFlags, context: CommandContext): Promise<void> {
  const { terminal, env } = context
  if (flags.propose === true && flags.approved !== undefined) throw usageError('--propose asks for a second signature and --approved uses it; give one of them')
  if (flags.source === undefined && flags.approved !== undefined) throw usageError('--source is missing: it must be that of the approved change')
  const { admin, api } = await findAdmin(flags, env)
  const account = accountNamed(await admin.accounts(), wanted)
  if (account === undefined) throw usageError(`no account is called "${wanted}"; "triforce key list" shows them`)
  const source = flags.source ?? `cli/${randomUUID()}`
  if (flags.propose === true) {
    return tellSigned(await admin.propose({ type: 'grant', account: account.account, microCredits, source }), { flags, api }, context)
  }
  const granted = await admin.grant({ account: account.account, microCredits, source, approved: flags.approved }).catch((error: unknown) => {
    if (toTriforceError(error).code !== 'BUDGET_EXCEEDED') throw error
    throw usageError(`${(error as Error).message}; for more a second hub must sign: triforce admin grant ${wanted} ${formatCredits(microCredits)} --source "${source}" --propose`, error)
  })
  if (flags.json === true) return printJson(terminal, { ...granted, account: account.account, amount_micro_credits: microCredits, source })
  terminal.note(granted.known
    ? `"${source}" was granted to ${account.name} before, and is not granted twice`
    : `gave ${account.name} ${formatCredits(microCredits)} credits${granted.durability === 'local' ? '; no other hub has confirmed it yet' : ', on the disks of two hubs'}`)
}

async function runSeal(hub: string, flags: SealFlags, { terminal, env }: CommandContext): Promise<void> {
  const { admin } = await findAdmin(flags, env)
  await admin.seal(hub, { forced: flags.forced === true })
  if (flags.json === true) return printJson(terminal, { sealed: hub })
  terminal.note(`the log of ${hub} is sealed and another hub clears for its accounts; when ${hub} comes back it begins a new log by itself`)
}

async function runApprove(id: string, flags: AdminFlags, context: CommandContext): Promise<void> {
  if (!/^chg_[0-9a-f]{32}$/.test(id)) throw usageError(`"${id}" is no change: it is chg_ and 32 hexadecimal digits, as "triforce admin changes" shows`)
  const { admin, api } = await findAdmin(flags, context.env)
  await tellSigned(await admin.approve(id), { flags, api }, context)
}

async function runChanges(flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  const changes = await (await findAdmin(flags, env)).admin.changes()
  if (flags.json === true) return printJson(terminal, changes)
  if (changes.length === 0) return terminal.note('no change was signed so far; prices, tiers and hardware are those of the plan')
  for (const line of formatTable([
    { title: 'CHANGE' }, { title: 'TIME (UTC)' }, { title: 'WHAT', shrink: true }, { title: 'SIGNED BY' }, { title: 'HOLDS' },
  ], changes.map((change) => [change.id, formatTime(change.created_at).slice(0, MINUTE_CHARS), change.type === 'table' ? `${change.table}, revision ${change.rev}` : whatOf(change), change.signed_by.join(', '), change.holds ? 'yes' : 'not yet']))) terminal.print(line)
}
