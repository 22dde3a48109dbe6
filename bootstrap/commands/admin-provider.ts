/** `triforce admin provider`: the cloud vendors that a hub has keys for. */
import type { Command } from 'commander'
import { askSecret } from '../ask-secret.ts'
import { usageError } from '../command-error.ts'
import { findAdmin, type AdminFlags } from '../find-admin.ts'
import type { ProviderView } from '../provider-schemas.ts'
import { formatTable } from '../table.ts'
import { printable } from '../terminal.ts'
import { withAdminFlags } from './admin-common.ts'
import { printJson, type CommandContext } from './context.ts'

interface AddFlags extends AdminFlags {
  readonly baseUrl?: string
  readonly family?: string
  readonly allowPrivate?: boolean
}

const NAME = 'openai, anthropic, gemini, groq, cerebras, mistral, together, openrouter, deepseek, xai, or a name of your own with --base-url'

export function addProviderCommand(admin: Command, context: CommandContext): void {
  const provider = admin.command('provider').description('the cloud vendors that a hub has keys for')

  withAdminFlags(provider.command('add').description('give a hub a key for a vendor; the key is asked for, or read from a pipe'))
    .argument('<name>', NAME)
    .option('--base-url <url>', 'another address that speaks the vendor\'s API')
    .option('--family <family>', 'API of a vendor of your own: openai or anthropic (default: openai)')
    .option('--allow-private', 'the address may be inside this network, such as a vLLM of your own')
    .action(async (name: string, flags: AddFlags) => runAdd(name, flags, context))

  withAdminFlags(provider.command('list').description('list the vendors that a hub has keys for'))
    .action(async (flags: AdminFlags) => runList(flags, context))

  withAdminFlags(provider.command('rm').description('take a vendor and its key away from a hub'))
    .argument('<name>', 'as "triforce admin provider list" shows it')
    .action(async (name: string, flags: AdminFlags) => runRemove(name, flags, context))

  withAdminFlags(provider.command('test').description('ask a vendor for its list of models with the hub\'s key; costs nothing'))
    .argument('<name>', 'as "triforce admin provider list" shows it')
    .action(async (name: string, flags: AdminFlags) => runTest(name, flags, context))
}

async function runAdd(name: string, flags: AddFlags, { terminal, env }: CommandContext): Promise<void> {
  const { family } = flags
  if (family !== undefined && family !== 'openai' && family !== 'anthropic') throw usageError('--family must be openai or anthropic')
  const { admin } = await findAdmin(flags, env)
  const key = await askSecret(name, 'admin provider add')
  const added = await admin.addProvider({ name, key, baseUrl: flags.baseUrl, family, allowPrivate: flags.allowPrivate === true })
  if (flags.json === true) return printJson(terminal, added)
  terminal.note(`the hub has a key for ${name}, sealed on its disk`)
  tellHealth(added, terminal.note)
}

async function runList(flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  const providers = await (await findAdmin(flags, env)).admin.providers()
  if (flags.json === true) return printJson(terminal, providers)
  if (providers.length === 0) return terminal.note('this hub has no key for any vendor; give it one: triforce admin provider add openai')
  for (const line of formatTable([
    { title: 'PROVIDER' }, { title: 'KEY' }, { title: 'FROM' }, { title: 'MODELS' }, { title: 'STATE', shrink: true },
  ], providers.map(({ name, key_end: end, source, models, health }) => [name, `…${end}`, source, String(models), printable(health)]))) terminal.print(line)
}

async function runRemove(name: string, flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  await (await findAdmin(flags, env)).admin.removeProvider(name)
  if (flags.json === true) return printJson(terminal, { removed: name })
  terminal.note(`the key for ${name} is removed`)
}

async function runTest(name: string, flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  const tested = await (await findAdmin(flags, env)).admin.testProvider(name)
  if (flags.json === true) return printJson(terminal, tested)
  tellHealth(tested, terminal.note)
}

function tellHealth({ ok, health }: ProviderView, note: (line: string) => void): void {
  note(ok ? printable(health) : `it does not work yet: ${printable(health)}`)
}
