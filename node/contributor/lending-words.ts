/** A lending report in sentences: what was earned and why, what is held back until when, why jobs went elsewhere, what to do. Pure. */
import type { LendingStatus, PassedBy, PassedByReason, RegistrationInfo } from '../../protocol/messages/contributor.ts'
import { formatCredits } from '../../protocol/units.ts'
import { lendingStateWords } from '../lending/lending-state-words.ts'
import type { LendingReport, LocalLending } from './contributor-gateway.ts'
import { mbitsText } from './requirements.ts'

type Earned = LendingStatus['machines'][number]['earned'][number]

const reasonWords: Readonly<Record<PassedByReason, string>> = {
  busy: 'all its slots were taken',
  draining: 'it was paused or leaving',
  missing_capability: 'its model cannot do what the request asked for',
  unreachable: 'the hub could not reach it',
  failed_lately: 'it had failed a moment before',
  others_were_freer: 'another machine was freer or faster',
  refused: 'it refused the job, or broke before the first word',
  failed_checks: 'it had failed its checks',
}

/** In the order in which somebody asks: is it there, what does it earn, when do I get it, why not more. */
export function lendingWords({ local, status, problem }: LendingReport): readonly string[] {
  return [
    ...(local === undefined ? [] : localWords(local)),
    ...(problem === undefined ? [] : [`What the hubs know of it cannot be told now: ${problem}.`]),
    ...(status === undefined ? [] : statusWords(status)),
  ]
}

function localWords(local: LocalLending): string[] {
  const connected = local.hubs.filter((hub) => hub.connected)
  const registered = local.hubs.filter((hub) => hub.registered)
  const problems = [...new Set(local.hubs.flatMap(({ problem }) => problem ?? []))]
  const line = local.uploadMbits === undefined ? '' : `; it sends ${mbitsText(local.uploadMbits)} Mbit/s, and a hub is ${local.rttMs ?? 0} ms away`
  return [
    connected.length === 0
      ? 'It reaches no hub, so no job can come: check the network and the federation file with "triforce doctor".'
      : `It is connected to ${connected.length} of ${local.hubs.length} hubs (${connected.map(({ name }) => name).join(', ')})${line}. Jobs come over these connections, so no port needs to be open.`,
    ...(local.left ? [] : lendingStateWords(local.lender, local.nowMs)),
    ...(local.left ? ['It was unregistered and lends no more; start it again to lend it again.'] : []),
    ...(!local.left && connected.length > 0 && registered.length === 0 ? [`It is not registered and earns nothing: ${problems[0] ?? 'the hubs have not answered yet'}.`] : []),
    local.models.length === 0
      ? 'It offers no model, so no job can come: get one with "triforce models pull NAME".'
      : `It offers ${local.models.join(', ')}, ${local.jobs.slots} ${local.jobs.slots === 1 ? 'answer' : 'answers'} at once; ${local.jobs.running} running, ${local.jobs.served} served, ${local.jobs.failed} failed since the start.`,
    ...(local.refused.length === 0 ? [] : [`It refused jobs itself: ${local.refused.map(({ code, count }) => `${code} ${times(count)}`).join(', ')}.`]),
  ]
}

function statusWords(status: LendingStatus): string[] {
  const { machines, money } = status
  if (machines.length === 0) return ['No machine is registered for this account; start one with "triforce start --mode contributor --key KEY".']
  const probation = machines[0]!.registration.probation
  return [
    ...machines.flatMap(({ registration, earned, passedBy }) => [
      ...rateWords(registration), ...earned.map(earnedWords), ...(earned.length === 0 && registration.node !== undefined ? [nothingYet(registration)] : []),
      ...(passedBy === undefined ? [] : passedByWords(registration, passedBy, status.hub)), ...checkWords(registration), ...missingWords(registration),
    ]),
    `The account has been paid ${credits(money.paid)} for lending, ${credits(money.unpaid)} more come with the next pay (every few minutes), and ${credits(money.heldBack)} of the pay are held back.`,
    ...(probation.active ? [probationWords(probation)] : []),
  ]
}

function rateWords({ name, devices, accountName }: RegistrationInfo): string[] {
  return devices.map(({ device, class: kind, busyPerHour, standbyPerHour }) =>
    `${name}: ${device} is class ${kind} and earns ${credits(busyPerHour)} an hour while it answers and ${credits(standbyPerHour)} while it stands by, for the account ${accountName}.`)
}

function earnedWords({ device, receipts, earned, time }: Earned): string {
  const parts = time.filter(({ ms }) => ms > 0).map(({ microCreditsPerHour, ms }) => `${duration(ms)} at ${credits(microCreditsPerHour)} an hour`)
  return `${device} has earned ${credits(earned)}: ${parts.join(' and ') || 'less than a second'}; ${receipts} ${receipts === 1 ? 'job was' : 'jobs were'} signed by both sides.`
}

function nothingYet({ name, connected }: RegistrationInfo): string {
  return connected
    ? `${name} has earned nothing yet: standing by is logged every five minutes, and answers with the first job.`
    : `${name} has earned nothing yet, and the hub has no connection to it now.`
}

function passedByWords({ name }: RegistrationInfo, { asked, got, reasons, sinceMs }: PassedBy, hub: string): string[] {
  const since = `Since ${time(sinceMs)} UTC`
  if (asked === 0) return [`${since} nobody has asked hub ${hub} for a model that ${name} offers; "triforce models" shows what others lend.`]
  const why = reasons.map(({ reason, count }) => `${times(count)} ${reasonWords[reason]}`)
  return [`${since} hub ${hub} placed ${asked} ${asked === 1 ? 'request' : 'requests'} for its models, and ${got} came to ${name}.${why.length === 0 ? '' : ` It was passed by: ${why.join(', ')}.`}`]
}

function checkWords({ name, check }: RegistrationInfo): string[] {
  return check.state === 'claimed' ? [`${name} is not checked yet: ${check.text}.`] : [`Check of ${name}: ${check.state}; ${check.text}.`]
}

function missingWords({ missing, name }: RegistrationInfo): string[] {
  return missing.map(({ what, level, have, need, fix }) => what === 'models'
    ? `${name} was registered with the model ${need}, and does not offer it: ${fix}.`
    : `${level === 'minimum' ? 'Below the minimum' : 'Below what is recommended'}: ${have}, ${need} wanted; ${fix}.`)
}

export function probationWords({ receipts, receiptsMin, firstAt, ageMsMin, backPercent }: RegistrationInfo['probation']): string {
  const jobs = receipts >= receiptsMin ? `${receiptsMin} jobs (reached)` : `${receiptsMin} jobs signed by both sides (${receipts} so far)`
  const days = Math.round(ageMsMin / 86_400_000)
  const age = firstAt === undefined ? `${days} days after the first one` : `${time(firstAt + ageMsMin)} UTC, ${days} days after the first one`
  return `${backPercent} % of a newcomer's pay is held back until ${jobs} and ${age}; then all of it is released.`
}

function credits(microCredits: string): string {
  const amount = formatCredits(BigInt(microCredits))
  return `${amount} ${amount === '1' ? 'credit' : 'credits'}`
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}

function time(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 16).replace('T', ' ')
}

function duration(ms: number): string {
  if (ms < 1_000) return `${(ms / 1_000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return `${Math.floor(ms / 1_000)} s`
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
