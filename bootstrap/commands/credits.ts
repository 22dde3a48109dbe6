/** `triforce credits`: what the account behind the key has, and where it is. */
import type { Command } from 'commander'
import { formatCredits } from '../../protocol/units.ts'
import { creditsSchema, type CreditsView } from '../money-schemas.ts'
import { formatPairs } from '../table.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

export function addCreditsCommand(program: Command, context: CommandContext): void {
  withClientFlags(program.command('credits').description('show what your account has: credits, today\'s quota, what was earned'))
    .action(async (flags: ClientFlags) => {
      const { terminal } = context
      const client = await clientFor(flags, context)
      const credits = await client.json(creditsSchema, '/v1/credits')
      if (flags.json === true) return printJson(terminal, jsonOf(credits))
      for (const line of formatPairs(pairsOf(credits))) terminal.print(line)
    })
}

/** With each amount in credits too, for people who read JSON. */
function jsonOf(credits: CreditsView): Record<string, unknown> {
  return Object.fromEntries(Object.entries(credits).flatMap(([name, value]: [string, unknown]) => typeof value === 'bigint'
    ? [[name, value.toString()], [name.replace(/_micro_credits$/, '_credits'), formatCredits(value)]]
    : [[name, value]]))
}

function pairsOf(credits: CreditsView): readonly (readonly [string, string])[] {
  const { quota } = credits
  const amount = (name: string, microCredits: bigint, meaning: string): readonly (readonly [string, string])[] => {
    return microCredits === 0n ? [] : [[name, `${formatCredits(microCredits)}  (${meaning})`]]
  }
  return [
    ['account', `${credits.name} (${credits.account})`],
    ['tier', credits.tier],
    ['credits', formatCredits(credits.balance_micro_credits)],
    ...amount('held', credits.held_micro_credits, 'reserved for requests that run; what they do not use comes back'),
    ...amount('on its way', credits.on_its_way_micro_credits, 'of the credits above, between two hubs; it arrives by itself'),
    ...amount('frozen', credits.frozen_micro_credits, 'until it is known what a hub that is gone had spent, a day at most'),
    ...amount('held back', credits.held_back_micro_credits, 'newcomers\' pay: it comes with 7 days and 50 checked jobs'),
    ...amount('debt', credits.debt_micro_credits, 'a payment was taken back; what comes in repays it first'),
    ['quota today', quotaText(quota)],
    ['earned today', earnedText(credits)],
  ]
}

function quotaText({ tokens_per_day: perDay, used_tokens: used, left_tokens: left }: CreditsView['quota']): string {
  if (perDay === null) return `no bound on cloud tokens, ${used} used`
  return `${left ?? 0} of ${perDay} cloud tokens left; it begins anew at 00:00 UTC`
}

function earnedText({ earned_today_micro_credits: today, earned_unpaid_micro_credits: unpaid, earned_paid_micro_credits: paid }: CreditsView): string {
  const parts = [formatCredits(today)]
  if (unpaid > 0n) parts.push(`${formatCredits(unpaid)} more with the next pay`)
  if (paid > 0n) parts.push(`${formatCredits(paid)} in all`)
  return parts.join(', ')
}
