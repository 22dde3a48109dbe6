/** What the admin commands share: their flags, and the sentence about a change that was signed. */
import type { Command } from 'commander'
import { formatCredits } from '../../protocol/units.ts'
import { otherApis, type AdminFlags } from '../find-admin.ts'
import type { ChangeView } from '../money-schemas.ts'
import type { Terminal } from '../terminal.ts'
import { printJson } from './context.ts'

/** Flags of the commands that need the admin token of a hub. */
export function withAdminFlags(command: Command): Command {
  return command
    .option('--api <url>', 'hub to ask (default: the one of --dir; of "triforce up", its first)')
    .option('--dir <folder>', 'state folder of the hub, or of "triforce up" (default: ~/.triforce/local)')
    .option('--json', 'print JSON')
}

export function whatOf(change: ChangeView): string {
  return change.type === 'table'
    ? `${change.table} table, revision ${change.rev}`
    : `${formatCredits(change.amount_micro_credits)} credits for ${change.account} (${change.source})`
}

/** One sentence: what happened and what comes next. */
export async function tellSigned(
  change: ChangeView, { flags, api }: { readonly flags: AdminFlags; readonly api: string }, { terminal, env }: { readonly terminal: Terminal; readonly env: NodeJS.ProcessEnv },
): Promise<void> {
  if (flags.json === true) return printJson(terminal, change)
  const signers = change.signed_by.join(' and ')
  if (!change.holds) {
    const [other = 'URL_OF_ANOTHER_HUB'] = await otherApis(flags, env, api)
    terminal.note(`${whatOf(change)}: signed by ${signers}; a second hub must sign: triforce admin approve ${change.id} --api ${other}`)
  } else if (change.type === 'table') {
    terminal.note(`${whatOf(change)}: signed by ${signers}; it holds, and every hub uses it from now on`)
  } else {
    const amount = formatCredits(change.amount_micro_credits)
    terminal.note(`${whatOf(change)}: signed by ${signers}; give it now: triforce admin grant ${change.account} ${amount} --source "${change.source}" --approved ${change.id}`)
  }
}
