/** `triforce pause`, `resume` and `drain`, `contributor set` and `contributor controls`: a machine that lends, while it runs. */
import type { Command } from 'commander'
import { parseDays, parseTimes, parseTimeZone } from '../../node/lending/schedule.ts'
import type { ApiRequest } from '../api-client.ts'
import { usageError } from '../command-error.ts'
import { findLenders, type FoundLender } from '../find-lender.ts'
import { controlsViewSchema, type ControlsView } from '../lending-schemas.ts'
import { parseNumber } from '../option-parsers.ts'
import { formatDuration, formatPairs } from '../table.ts'
import { printable } from '../terminal.ts'
import { argumentOf } from './arguments.ts'
import { printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

/** Looks of `drain` at what still runs. */
const LOOK_MS = 500

export function addLendingCommands(program: Command, context: CommandContext): void {
  withClientFlags(program.command('pause').description('take no new jobs on the machine that lends here; what runs ends in peace')
    .option('--for <time>', 'such as 45m, 2h or 1d; else until "triforce resume"', argumentOf('--for', parseMinutes)))
    .action(async (flags: ClientFlags & { readonly for?: number }) => runEach(flags, context, '/v1/contributor/pause', { method: 'POST', body: flags.for === undefined ? {} : { for_minutes: flags.for } }))

  withClientFlags(program.command('resume').description('lend again after a pause or a drain'))
    .action(async (flags: ClientFlags) => runEach(flags, context, '/v1/contributor/resume', { method: 'POST', body: {} }))

  withClientFlags(program.command('drain').description('take no new jobs until the next start, and wait until what runs has ended: before an update or a restart')
    .option('--no-wait', 'do not wait'))
    .action(async (flags: ClientFlags & { readonly wait: boolean }) => runDrain(flags, context))
}

export function addControlCommands(contributor: Command, context: CommandContext): void {
  withClientFlags(contributor.command('controls').description('show whether the machine lends now and why not, its hours and its bounds'))
    .action(async (flags: ClientFlags) => runEach(flags, context, '/v1/contributor/controls'))

  withClientFlags(contributor.command('set').description('change hours and bounds of the machine while it runs; "off" takes one back')
    .argument('<what>', Object.keys(settings).join(', '))
    .argument('<value>', 'such as 18:00-02:00 for hours, 8 for hours-per-day, 20 (Mbit/s) for upload')
    .option('--days <days>', 'with hours: such as mon-fri or sat,sun', argumentOf('--days', parseDays))
    .option('--time-zone <zone>', 'with hours: such as Europe/Berlin; else that of the machine', argumentOf('--time-zone', parseTimeZone)))
    .action(async (what: string, value: string, flags: SetFlags) => runEach(flags, context, '/v1/contributor/controls', { method: 'PATCH', body: changeOf(what, value, flags) }))
}

interface SetFlags extends ClientFlags {
  readonly days?: readonly string[]
  readonly timeZone?: string
}

const number = (min: number, max: number) => (what: string, text: string) => argumentOf(what, parseNumber(min, max))(text)

/** Names of settings for people, with what each changes in the body of the API. */
const settings: Readonly<Record<string, (what: string, text: string) => object>> = {
  'hours': (what, text) => ({ schedule: argumentOf(what, parseTimes)(text) }),
  'hours-per-day': (what, text) => ({ hours_per_day: number(0, 24)(what, text) }),
  'upload': (what, text) => ({ upload_mbits: number(0.2, 100_000)(what, text) }),
  'download': (what, text) => ({ download_mbits: number(0.2, 100_000)(what, text) }),
  'bandwidth': (what, text) => ({ upload_mbits: number(0.2, 100_000)(what, text), download_mbits: number(0.2, 100_000)(what, text) }),
  'vram': (what, text) => ({ vram_gb: number(0, 16_384)(what, text) }),
  'power': (what, text) => ({ power_watts: number(1, 10_000)(what, text) }),
  'yield': (_, text) => ({ yield_to: text }),
  'friends': (_, text) => ({ friends: text.split(',').map((id) => id.trim()) }),
}

/** What `off` takes back. */
const cleared: Readonly<Record<string, object>> = {
  'hours': { schedule: null, days: null, time_zone: null }, 'hours-per-day': { hours_per_day: null }, 'upload': { upload_mbits: null }, 'download': { download_mbits: null },
  'bandwidth': { upload_mbits: null, download_mbits: null }, 'vram': { vram_gb: null }, 'power': { power_watts: null }, 'yield': { yield_to: null }, 'friends': { friends: null },
}

function changeOf(what: string, value: string, { days, timeZone }: SetFlags): object {
  const setting = settings[what]
  if (setting === undefined) throw usageError(`"${what}" is no setting; there are ${Object.keys(settings).join(', ')}`)
  if (what !== 'hours' && (days !== undefined || timeZone !== undefined)) throw usageError('--days and --time-zone belong to hours')
  if (value === 'off') return cleared[what]!
  return { ...setting(what, value), ...(days === undefined ? {} : { days }), ...(timeZone === undefined ? {} : { time_zone: timeZone }) }
}

async function runEach(flags: ClientFlags, context: CommandContext, path: string, request: ApiRequest = {}): Promise<void> {
  const lenders = await findLenders(flags, context.env)
  const views: { readonly name: string; readonly view: ControlsView }[] = []
  for (const { name, client } of lenders) {
    const view = await client.json(controlsViewSchema, path, request)
    views.push({ name, view })
    if (flags.json !== true) for (const line of linesOf(lenders.length > 1 ? name : undefined, view)) context.terminal.print(printable(line))
  }
  if (flags.json === true) printJson(context.terminal, views.length === 1 ? views[0]!.view : views.map(({ name, view }) => ({ name, ...view })))
}

async function runDrain(flags: ClientFlags & { readonly wait: boolean }, context: CommandContext): Promise<void> {
  const { terminal } = context
  const lenders = await findLenders(flags, context.env)
  await runEach({ ...flags, json: false }, flags.json === true ? { ...context, terminal: { ...terminal, print: () => {} } } : context, '/v1/contributor/drain', { method: 'POST', body: {} })
  if (flags.wait) await Promise.all(lenders.map(idle))
  if (flags.json === true) return printJson(terminal, { drained: flags.wait, machines: lenders.map(({ name }) => name) })
  if (flags.wait) terminal.print('Nothing runs any more: it can be stopped, updated or restarted; "triforce resume" or its next start lends it again.')
}

async function idle({ client }: FoundLender): Promise<void> {
  for (;;) {
    const { running, waiting } = await client.json(controlsViewSchema, '/v1/contributor/controls')
    if (running + waiting === 0) return
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS) })
  }
}

function linesOf(name: string | undefined, { explanation, settings: set, lent_today_ms: lentTodayMs, bounds }: ControlsView): readonly string[] {
  const shown: (readonly [string, string])[] = [
    ['hours', set.schedule === null && set.days === null ? 'always' : `${set.schedule ?? '00:00-24:00'}${set.days === null ? '' : ` on ${set.days.join(', ')}`}${set.time_zone === null ? '' : ` (${set.time_zone})`}`],
    ['hours a day', set.hours_per_day === null ? 'no bound' : `${set.hours_per_day}, ${formatDuration(lentTodayMs)} of them used today`],
    ['line', [textOf(set.upload_mbits, 'Mbit/s out'), textOf(set.download_mbits, 'Mbit/s in')].filter((text) => text !== '').join(', ') || 'no bound'],
    ['GPU memory', textOf(set.vram_gb, 'GB') || 'no bound'],
    ['GPU power', textOf(set.power_watts, 'W') || 'no bound'],
    ['makes way for', set.yield_to === 'off' ? 'nobody' : `other programs on the ${set.yield_to === 'gpu' ? 'GPU' : 'processor'}`],
    ['friends', set.friends.length === 0 ? 'none' : set.friends.join(', ')],
  ]
  return [...(name === undefined ? [] : [name]), ...explanation, ...formatPairs(shown), ...bounds.filter(({ held }) => held).map(({ text }) => text)]
}

const textOf = (value: number | null, unit: string) => value === null ? '' : `${value} ${unit}`

/** `45m`, `2h`, `1d`; gives minutes. Throws RangeError. */
function parseMinutes(text: string): number {
  const [, count, unit] = /^(\d{1,4}(?:\.\d{1,2})?)([mhd])$/.exec(text) ?? []
  const minutes = Number(count) * ({ m: 1, h: 60, d: 1_440 }[unit ?? ''] ?? Number.NaN)
  if (!(minutes >= 1 && minutes <= 525_600)) throw new RangeError('must be a time such as 45m, 2h or 1d')
  return minutes
}
