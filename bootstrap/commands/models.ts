/** `triforce models`: what can be asked for now; its subcommands are in models-local.ts. */
import type { Command } from 'commander'
import { modelListSchema } from '../api-schemas.ts'
import { formatTable } from '../table.ts'
import { addLocalModelCommands } from './models-local.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

export function addModelsCommand(program: Command, context: CommandContext): void {
  const models = withClientFlags(program.command('models').description('list the models that peers offer now; pull, list and rm are for those on this machine'))
  models.enablePositionalOptions()
  addLocalModelCommands(models, context)
  models.action(async (flags: ClientFlags) => {
    const { terminal } = context
    const client = await clientFor(flags, context)
    const { data } = await client.json(modelListSchema, '/v1/models')
    if (flags.json === true) return printJson(terminal, data)
    if (data.length === 0) return terminal.note('no peer offers a model now; start a contributor, see docs/operating.md')
    const rows = data.map(({ id, triforce }) => [
      id, String(triforce.hosts), String(triforce.context_tokens), triforce.quantizations.join(',') || '-', triforce.capabilities.join(','),
      triforce.demo ? 'demo' : '',
    ])
    for (const line of formatTable([
      { title: 'MODEL', shrink: true }, { title: 'HOSTS', align: 'right' }, { title: 'CONTEXT', align: 'right' }, { title: 'WEIGHTS' },
      { title: 'CAN', shrink: true }, { title: '' },
    ], rows)) terminal.print(line)
  })
}
