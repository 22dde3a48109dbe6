/** `triforce admin checks | recheck`: how the machines that lend stand after a hub's checks. */
import type { Command } from 'commander'
import { findAdmin, type AdminFlags } from '../find-admin.ts'
import { formatTable, formatTime } from '../table.ts'
import { printable } from '../terminal.ts'
import { withAdminFlags } from './admin-common.ts'
import { printJson, type CommandContext } from './context.ts'

/** `2026-11-01 12:00` */
const MINUTE_CHARS = 16

export function addCheckCommands(admin: Command, context: CommandContext): void {
  withAdminFlags(admin.command('checks').description('show how each machine that lends stands after this hub\'s checks, and why'))
    .action(async (flags: AdminFlags) => runChecks(flags, context))

  withAdminFlags(admin.command('recheck').description('have a machine that failed its checks checked again at once'))
    .argument('<peer>', 'peer id as "triforce admin checks" shows it')
    .action(async (peer: string, flags: AdminFlags) => runRecheck(peer, flags, context))
}

async function runChecks(flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  const told = await (await findAdmin(flags, env)).admin.checks()
  if (flags.json === true) return printJson(terminal, told)
  if (told.data.length === 0) return terminal.note('this hub has checked no machine yet; in a local federation checks are off unless it is started with --checks on')
  for (const line of formatTable([
    { title: 'NODE' }, { title: 'STATE' }, { title: 'LAST CHECK' }, { title: 'FOUND', shrink: true },
  ], told.data.map(({ node, state, last_at: lastAt, text }) => [node, state, lastAt === null ? '-' : formatTime(lastAt).slice(0, MINUTE_CHARS), printable(text)]))) terminal.print(line)
  terminal.note(`${listed(told.checks)}; times at which this hub was not well itself: ${listed(told.incidents)}`)
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(', ')
}

async function runRecheck(peer: string, flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  await (await findAdmin(flags, env)).admin.recheck(peer)
  if (flags.json === true) return printJson(terminal, { recheck: peer })
  terminal.note(`${peer} is checked again; "triforce admin checks" shows how far it is`)
}
