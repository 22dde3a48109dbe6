/** `triforce route`: where a request for a model would go now, and with --explain why elsewhere not. */
import type { Command } from 'commander'
import { z } from 'zod'
import { formatDuration, formatTable } from '../table.ts'
import { printable } from '../terminal.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

const hostFields = { model: z.string(), peer: z.string(), name: z.string(), vendor: z.string().optional() }
const routeSchema = z.looseObject({
  known: z.number(),
  candidates: z.array(z.object({
    ...hostFields, hub: z.boolean(), privacy: z.string(), slots: z.number(), load: z.number(), loaded: z.boolean(), tokens_per_second: z.number(), expected_ms: z.number(),
    cooling_down: z.boolean(), because: z.string(),
  })),
  left_out: z.array(z.object({ ...hostFields, reason: z.string() })),
})

interface RouteFlags extends ClientFlags {
  readonly model: string
  readonly needs?: string
  readonly privacy?: string
  readonly explain?: boolean
}

export function addRouteCommand(program: Command, context: CommandContext): void {
  withClientFlags(program.command('route').description('show where a request for a model would go now; nothing is asked')
    .requiredOption('--model <id>', 'model that would be asked for')
    .option('--needs <list>', 'what the host must be able to do, such as chat,tools', 'chat')
    .option('--privacy <class>', 'who may see the prompt: own, friends, verified, any or cloud')
    .option('--explain', 'all candidates with their scores, and why others were left out'))
    .action(async (flags: RouteFlags) => runRoute(flags, context))
}

async function runRoute(flags: RouteFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  const query = new URLSearchParams({ model: flags.model, ...(flags.needs === undefined ? {} : { needs: flags.needs }), ...(flags.privacy === undefined ? {} : { privacy: flags.privacy }) })
  const route = await (await clientFor(flags, context)).json(routeSchema, `/v1/route?${query.toString()}`)
  if (flags.json === true) return printJson(terminal, route)
  const [first] = route.candidates
  terminal.print(printable(first === undefined
    ? route.known === 0 ? `nobody offers ${flags.model} now; "triforce models" lists what is there` : `${flags.model} has ${route.known} ${route.known === 1 ? 'host' : 'hosts'}, and none can be asked now`
    : `${first.name} would be asked first for ${first.model}: ${first.because}`))
  if (flags.explain !== true) return
  const rows = route.candidates.map((one) => [
    nameOf(one), one.vendor === undefined ? `${one.load}/${one.slots}` : '-', one.tokens_per_second === 0 ? '-' : String(one.tokens_per_second), one.loaded ? 'yes' : 'no',
    one.vendor === undefined ? formatDuration(one.expected_ms) : '-', one.because,
  ])
  if (rows.length > 0) {
    for (const line of formatTable([
      { title: 'HOST' }, { title: 'BUSY', align: 'right' }, { title: 'TOKENS/S', align: 'right' }, { title: 'LOADED' }, { title: 'EXPECTED', align: 'right' }, { title: 'WHY HERE', shrink: true },
    ], rows)) terminal.print(line)
  }
  if (route.left_out.length > 0) {
    terminal.print('')
    for (const line of formatTable([{ title: 'LEFT OUT' }, { title: 'MODEL', shrink: true }, { title: 'REASON' }], route.left_out.map((one) => [nameOf(one), one.model, one.reason]))) terminal.print(line)
  }
  const shown = route.candidates.length + route.left_out.length
  if (route.known > shown) terminal.note(`${route.known - shown} more hosts were not looked at: of many, a job looks at a random few`)
}

const nameOf = ({ name, vendor }: { readonly name: string; readonly vendor?: string | undefined }) => printable(vendor === undefined ? name : `${vendor} at ${name}`)
