/** Flags that limit an API key, and the body that the bridge takes for them. */
import type { Command } from 'commander'
import { keyScopeSchema, type KeyScope } from '../protocol/key-terms.ts'
import { privacyClassSchema, type PrivacyClass } from '../protocol/routing.ts'
import { argumentOf } from './commands/arguments.ts'
import { parseCredits } from '../protocol/units.ts'
import { parseAccount, parseChoice, parseTime } from './option-parsers.ts'

export interface KeyTermFlags {
  readonly scope?: readonly KeyScope[]
  readonly expires?: number
  readonly only?: readonly string[]
  readonly dayBudget?: bigint
  readonly totalBudget?: bigint
  readonly privacy?: PrivacyClass
  readonly friend?: readonly string[]
}

export interface KeyTermsBody {
  readonly scopes?: readonly KeyScope[]
  readonly expires_at?: number
  readonly models?: readonly string[]
  readonly day_budget_micro_credits?: string
  readonly total_budget_micro_credits?: string
  readonly privacy?: PrivacyClass
  readonly friends?: readonly string[]
}

export function withKeyTermFlags(command: Command): Command {
  const collect = <Value>(parse: (text: string) => Value) => (text: string, before: readonly Value[] = []) => [...before, parse(text)]
  return command
    .option('--scope <scope>', `what it may do: ${keyScopeSchema.options.join(', ')}; may be repeated (default: all)`, collect(argumentOf('--scope', parseChoice(keyScopeSchema.options))))
    .option('--expires <time>', 'when it stops to work, such as 2027-01-31', argumentOf('--expires', parseTime))
    .option('--only <model>', 'a model that it may use, * for any characters; may be repeated (default: all)', collect((text) => text))
    .option('--day-budget <credits>', 'credits that it may spend on a UTC day', argumentOf('--day-budget', parseCredits))
    .option('--total-budget <credits>', 'credits that it may spend in all', argumentOf('--total-budget', parseCredits))
    .option('--privacy <class>', `who may see what is sent with it: ${privacyClassSchema.options.join(', ')} (default: cloud)`, argumentOf('--privacy', parseChoice(privacyClassSchema.options)))
    .option('--friend <account>', 'an account whose nodes count as friends, as its "triforce account key" shows it; may be repeated', collect(argumentOf('--friend', parseAccount)))
}

/** Undefined where no flag was given. */
export function keyTermsBodyOf({ scope, expires, only, dayBudget, totalBudget, privacy, friend }: KeyTermFlags): KeyTermsBody | undefined {
  const body: KeyTermsBody = {
    ...(scope === undefined ? {} : { scopes: scope }),
    ...(expires === undefined ? {} : { expires_at: expires }),
    ...(only === undefined ? {} : { models: only }),
    ...(dayBudget === undefined ? {} : { day_budget_micro_credits: dayBudget.toString() }),
    ...(totalBudget === undefined ? {} : { total_budget_micro_credits: totalBudget.toString() }),
    ...(privacy === undefined ? {} : { privacy }),
    ...(friend === undefined ? {} : { friends: friend }),
  }
  return Object.keys(body).length === 0 ? undefined : body
}
