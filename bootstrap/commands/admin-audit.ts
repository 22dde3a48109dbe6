/** `triforce admin audit`: every hub folds its ledger anew from its disk, up to the same frames, and the results must be equal. */
import type { Command } from 'commander'
import { toTriforceError } from '../../protocol/errors.ts'
import { formatCredits } from '../../protocol/units.ts'
import { CommandError, describeError, usageError } from '../command-error.ts'
import { findAdmins, type AdminFlags, type AdminHub } from '../find-admin.ts'
import { pollUntil } from '../local-federation/poll.ts'
import type { AuditHeads, AuditView } from '../money-schemas.ts'
import { formatPairs, formatTable } from '../table.ts'
import { withAdminFlags } from './admin-common.ts'
import { argumentOf } from './arguments.ts'
import { printJson, type CommandContext } from './context.ts'

interface AuditFlags extends AdminFlags {
  readonly at?: AuditHeads
}

/** A hub that lags behind the one asked first gets this long to catch up. */
const CATCH_UP_MS_MAX = 30_000

interface Audited {
  readonly hub: AdminHub
  readonly report?: AuditView
  readonly problem?: string
}

export function addAuditCommand(admin: Command, context: CommandContext): void {
  withAdminFlags(admin.command('audit').description('fold the whole ledger anew and compare the hubs; exits with 1 where they differ'))
    .option('--at <heads>', 'up to these frames, as another hub\'s audit printed them', argumentOf('--at', parseHeads))
    .action(async (flags: AuditFlags) => runAudit(flags, context))
}

async function runAudit(flags: AuditFlags, { terminal, env }: CommandContext): Promise<void> {
  const [first, ...others] = await findAdmins(flags, env)
  if (first === undefined) throw new CommandError('no hub was found to audit')
  // The others are asked for what the first one has, so that frames on their way are no difference.
  const begun: Audited = { hub: first, report: await auditAt(first, flags.at) }
  const heads = begun.report!.heads.map(({ hub, epoch, frames }) => ({ hub, epoch, frames }))
  const audited = [begun, ...await Promise.all(others.map((hub) => audit(hub, heads)))]
  const drift = driftOf(audited)
  if (flags.json === true) {
    printJson(terminal, { equal: drift === undefined, ...(drift === undefined ? {} : { drift }), hubs: audited.map(({ hub, report, problem }) => report ?? { api: hub.api, problem }) })
  } else {
    for (const line of linesOf(audited)) terminal.print(line)
    if (drift === undefined && audited.length === 1) terminal.note(`compare with the other hubs, there: triforce admin audit --at ${headsText(heads)}`)
    else if (drift === undefined) terminal.note(terminal.style('green', `no drift: ${audited.length} hubs fold their logs to the same state`, 'stderr'))
  }
  if (drift !== undefined) throw new CommandError(drift)
}

async function audit(hub: AdminHub, heads: AuditHeads): Promise<Audited> {
  try {
    return { hub, report: await auditAt(hub, heads) }
  } catch (error) {
    return { hub, problem: describeError(error).sentence }
  }
}

/** A hub that has not got all frames yet says NOT_FOUND. */
async function auditAt({ admin, name, api }: AdminHub, heads: AuditHeads | undefined): Promise<AuditView> {
  return pollUntil(async () => {
    try {
      return await admin.audit(heads)
    } catch (error) {
      if (toTriforceError(error).code === 'NOT_FOUND' && heads !== undefined) return undefined
      throw error
    }
  }, {
    signal: AbortSignal.timeout(CATCH_UP_MS_MAX * 100), msMax: CATCH_UP_MS_MAX,
    failure: `${name ?? api} lacks frames that another hub has, and did not get them within ${CATCH_UP_MS_MAX / 1_000} s; see "triforce status"`,
  })
}

/** The first difference in words; undefined where there is none. */
function driftOf(audited: readonly Audited[]): string | undefined {
  const broken = audited.find(({ report }) => (report?.problems.length ?? 0) > 0)
  if (broken !== undefined) return `the ledger of ${broken.report!.hub} breaks a rule: ${broken.report!.problems[0]!}; keep the folders of all hubs and stop spending before anything is repaired`
  const silent = audited.find(({ problem }) => problem !== undefined)
  if (silent !== undefined) return `not all hubs were compared: ${silent.problem!}`
  const roots = new Set(audited.map(({ report }) => report!.root))
  if (roots.size === 1) return undefined
  return `the hubs fold the same logs to different states (${audited.map(({ report }) => `${report!.hub}: ${report!.root.slice(0, 16)}`).join(', ')}); keep the folders of all hubs, and run the same version on each`
}

function linesOf(audited: readonly Audited[]): string[] {
  const totals = audited[0]?.report?.totals_micro_credits ?? {}
  return [
    ...formatTable([
      { title: 'HUB' }, { title: 'ACCOUNTS', align: 'right' }, { title: 'ENTRIES', align: 'right' }, { title: 'ROOT' }, { title: 'PROBLEMS', shrink: true },
    ], audited.map(({ hub, report, problem }) => report === undefined
      ? [hub.name ?? hub.api, '', '', '', problem ?? 'no answer']
      : [report.hub, String(report.accounts), String(report.entries), report.root.slice(0, 16), report.problems.join('; ') || 'none'])),
    '',
    ...formatPairs(Object.entries(totals).map(([name, amount]) => [name.replaceAll('_', ' '), formatCredits(amount)] as const)),
  ]
}

/** `hub/epoch:frames`, with commas. */
function headsText(heads: AuditHeads): string {
  return heads.map(({ hub, epoch, frames }) => `${hub}/${epoch}:${frames}`).join(',')
}

function parseHeads(text: string): AuditHeads {
  return text.split(',').map((part) => {
    const [, hub, epoch, frames] = /^([0-2])\/(\d{1,9}):(\d{1,15})$/.exec(part) ?? []
    if (hub === undefined) throw usageError('--at must be what another audit printed, such as 0/1:40,1/1:12,2/1:7')
    return { hub: Number(hub), epoch: Number(epoch), frames: Number(frames) }
  })
}
