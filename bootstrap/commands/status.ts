/** `triforce status`: how the node is, or each hub of the local federation; and what the machines that lend here earn and why. */
import type { Command } from 'commander'
import { createApiClient, type ApiClient } from '../api-client.ts'
import { statusSchema, type StatusView } from '../api-schemas.ts'
import { describeError } from '../command-error.ts'
import { findNodes, localContributors } from '../find-node.ts'
import { lendingReportSchema } from '../lending-schemas.ts'
import { printable } from '../terminal.ts'
import type { z } from 'zod'
import { formatBytes, formatDuration, formatPairs, formatTable } from '../table.ts'
import { printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

interface Found {
  readonly client: ApiClient
  readonly status?: StatusView
  readonly problem?: string
}

export function addStatusCommand(program: Command, context: CommandContext): void {
  withClientFlags(program.command('status').description('show how the node, or each hub of the local federation, is'))
    .action(async (flags: ClientFlags) => runStatus(flags, context))
}

async function runStatus(flags: ClientFlags, { terminal, env }: CommandContext): Promise<void> {
  const clients = (await findNodes(flags, env)).map(createApiClient)
  const [first] = clients
  if (clients.length === 1 && first !== undefined) {
    const status = await first.json(statusSchema, '/v1/status')
    const lending = isLending(status) ? await lendingOf(first) : undefined
    if (flags.json === true) return printJson(terminal, [{ ...status, ...(lending === undefined ? {} : { lending }) }])
    for (const line of [...nodeLines(status), '', ...logLines([status]), ...lendingLines(lending)]) terminal.print(line)
    return
  }
  const found = await Promise.all(clients.map(ask))
  const alive = found.flatMap(({ status }) => status ?? [])
  if (flags.json === true) printJson(terminal, found.map(({ client, status, problem }) => status ?? { api: client.target.api, problem }))
  else {
    for (const line of [...overview(found), '', ...logLines(alive)]) terminal.print(line)
    for (const { name, client } of await localContributors(flags, env)) {
      for (const line of ['', terminal.style('bold', name), ...lendingLines(await lendingOf(client))]) terminal.print(line)
    }
  }
  // Some hubs down is a state to show; none up is a failure.
  if (alive.length === 0 && first !== undefined) await first.json(statusSchema, '/v1/status')
}

function isLending({ mode }: StatusView): boolean {
  return mode === 'contributor' || mode === 'hybrid'
}

/** Undefined where the node does not tell: the rest of its status is worth showing all the same. */
async function lendingOf(client: ApiClient): Promise<z.output<typeof lendingReportSchema> | undefined> {
  return await client.json(lendingReportSchema, '/v1/contributor/status').catch(() => undefined)
}

function lendingLines(lending: z.output<typeof lendingReportSchema> | undefined): string[] {
  return lending === undefined ? [] : lending.explanation.map((line) => printable(line))
}

async function ask(client: ApiClient): Promise<Found> {
  try {
    return { client, status: await client.json(statusSchema, '/v1/status') }
  } catch (error) {
    return { client, problem: describeError(error).sentence }
  }
}

function nodeLines(status: StatusView): string[] {
  const connected = status.hubs.filter((hub) => hub.connected).map((hub) => hub.name)
  const { running, queued, served, failed } = status.jobs
  return formatPairs([
    ['node', `${status.name} (${status.mode} of ${status.network})`],
    ['peer id', status.peer_id],
    ['version', status.version],
    ['up', formatDuration(status.uptime_ms)],
    ['ready', status.ready ? 'yes' : `no: waits for ${status.waiting_for.join(', ')}`],
    ['hubs', `${connected.join(', ') || 'none'} connected (${connected.length} of ${status.hubs.length})`],
    ['peers', String(status.connections)],
    ['models', status.models.map((model) => `${model.id} (${model.hosts})`).join(', ') || 'none'],
    ['jobs', `${running} running, ${queued} waiting, ${served} served, ${failed} failed`],
    ['paths', Object.entries(status.traffic).map(([path, { jobs, bytes }]) => `${path} ${jobs} (${formatBytes(bytes)})`).join(', ')],
    ...(status.reachable_through.length === 0 ? [] : [['reachable', `through ${status.reachable_through.join(', ')}`] as [string, string]]),
    ...(status.relay === undefined ? [] : [['relays', relayLine(status.relay)] as [string, string]]),
  ])
}

function relayLine({ reservations, circuits, opened, refused }: NonNullable<StatusView['relay']>): string {
  return `for ${reservations} contributors, ${circuits} circuits open, ${opened} since the start, ${refused} refused`
}

function overview(found: readonly Found[]): string[] {
  return formatTable([
    { title: 'NODE' }, { title: 'API' }, { title: 'READY', shrink: true }, { title: 'UP', align: 'right' }, { title: 'PEERS', align: 'right' },
    { title: 'MODELS', align: 'right' }, { title: 'JOBS', align: 'right' }, { title: 'SERVED', align: 'right' }, { title: 'FAILED', align: 'right' },
  ], found.map(({ client, status }) => status === undefined
    ? ['-', client.target.api, 'no answer', '', '', '', '', '', '']
    : [
        status.name, client.target.api, status.ready ? 'yes' : `waits for ${status.waiting_for.join(', ')}`, formatDuration(status.uptime_ms),
        String(status.connections), String(status.models.length), String(status.jobs.running + status.jobs.queued), String(status.jobs.served),
        String(status.jobs.failed),
      ]))
}

/** The three logs as each hub has them: equal hashes mean equal ledgers. */
function logLines(hubs: readonly StatusView[]): string[] {
  const rows = hubs.flatMap((hub) => (hub.logs ?? []).map((log) => {
    return [hub.name, log.hub, String(log.epoch), String(log.frames), String(log.entries), log.hash.slice(0, 16)]
  }))
  if (rows.length === 0) return []
  return formatTable([
    { title: 'AT' }, { title: 'LOG OF' }, { title: 'EPOCH', align: 'right' }, { title: 'FRAMES', align: 'right' }, { title: 'ENTRIES', align: 'right' },
    { title: 'HEAD' },
  ], rows)
}
