/** What a contributor is told when its machine is registered, or why it is not: each step says what comes next. */
import { probationWords } from '../node/contributor/lending-words.ts'
import type { RegistrationInfo } from '../protocol/messages/contributor.ts'
import { formatCredits } from '../protocol/units.ts'
import { formatPairs } from './table.ts'

export function registrationLines(info: RegistrationInfo | undefined, problem: string | undefined): readonly string[] {
  if (info === undefined) return formatPairs([['registered', `no: ${problem ?? 'no hub has answered'}`]])
  const { devices, accountName, probation, missing } = info
  return formatPairs([
    ['registered', `for the account ${accountName}; "triforce status" says what it earns and why`],
    ...devices.map(({ device, class: kind, busyPerHour, standbyPerHour }) =>
      ['earns', `${credits(busyPerHour)} an hour while it answers, ${credits(standbyPerHour)} while it stands by (${device}, class ${kind})`] as const),
    ...(probation.active ? [['held back', probationWords(probation)] as const] : []),
    ...missing.map(({ level, have, need, fix }) => [level === 'minimum' ? 'missing' : 'could be', `${have}, ${need} wanted; ${fix}`] as const),
  ])
}

function credits(microCredits: string): string {
  const amount = formatCredits(BigInt(microCredits))
  return `${amount} ${amount === '1' ? 'credit' : 'credits'}`
}
