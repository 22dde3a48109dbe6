/** `triforce credits`: the balance of the account behind the key. */
import type { Command } from 'commander'
import { formatCredits } from '../../protocol/units.ts'
import { accountSchema } from '../api-schemas.ts'
import { formatPairs } from '../table.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

export function addCreditsCommand(program: Command, context: CommandContext): void {
  withClientFlags(program.command('credits').description('show the balance of your account')).action(async (flags: ClientFlags) => {
    const { terminal } = context
    const client = await clientFor(flags, context)
    const account = await client.json(accountSchema, '/v1/credits')
    const balance = formatCredits(account.balance_micro_credits)
    if (flags.json === true) return printJson(terminal, { ...account, balance_credits: balance })
    for (const line of formatPairs([
      ['account', `${account.name} (${account.account})`], ['tier', account.tier], ['credits', balance],
    ])) terminal.print(line)
  })
}
