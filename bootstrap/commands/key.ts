/** `triforce key`: this node's own key, and the API keys that a hub gives out. */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { toHex } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import { formatCredits } from '../../protocol/units.ts'
import { accountNamed } from '../account-named.ts'
import { createApiKey, publicHalfOf } from '../admin-client.ts'
import { passphrasePrompt } from '../ask-passphrase.ts'
import { usageError } from '../command-error.ts'
import { configDefaults } from '../config.ts'
import { findAdmin, type AdminFlags } from '../find-admin.ts'
import { inspectKeyFile, keyFilePath, loadOrCreateIdentity } from '../identity.ts'
import { passphraseFor } from '../open-node.ts'
import { keyTermsBodyOf, withKeyTermFlags, type KeyTermFlags } from '../key-term-flags.ts'
import { parseName, parsePositiveCredits } from '../option-parsers.ts'
import { formatPairs, formatTable } from '../table.ts'
import { argumentOf } from './arguments.ts'
import { printJson, type CommandContext } from './context.ts'

interface CreateFlags extends AdminFlags, KeyTermFlags {
  readonly name: string
  readonly account?: string
  readonly tier: string
  readonly credits?: bigint
}

interface AddFlags extends AdminFlags {
  readonly account: string
  readonly name: string
}

const HUB_DIR = 'state folder of a running hub (default: the first hub of "triforce up")'

export function addKeyCommand(program: Command, context: CommandContext): void {
  const key = program.command('key').description('this node\'s key, and the API keys of a hub')

  key.command('show').description('print the peer id of the key in a state folder; makes the key where there is none')
    .option('--dir <folder>', 'state folder of the node (default: ~/.triforce/node)')
    .option('--json', 'print JSON')
    .action(async (flags: AdminFlags) => runShow(flags, context))

  withKeyTermFlags(key.command('create').description('make an API key for an account, at a running hub'))
    .requiredOption('--name <name>', 'what the key is called', argumentOf('--name', parseName))
    .option('--account <account>', 'name or id of the account; opened where there is none of this name (default: the key\'s name)')
    .option('--tier <tier>', 'tier of an account that is opened', 'free')
    .option('--credits <amount>', 'credits to give the account', argumentOf('--credits', parsePositiveCredits))
    .option('--dir <folder>', HUB_DIR)
    .option('--json', 'print JSON')
    .action(async (flags: CreateFlags) => runCreate(flags, context))

  key.command('add').description('make a contributor earn for an account: adds the key of its node')
    .argument('<peer-id>', 'of the contributor, as "triforce key show" prints it there')
    .requiredOption('--account <account>', 'name or id of the account that is paid')
    .option('--name <name>', 'what the key is called (default: contributor)', argumentOf('--name', parseName), 'contributor')
    .option('--dir <folder>', HUB_DIR)
    .option('--json', 'print JSON')
    .action(async (peerId: string, flags: AddFlags) => runAdd(peerId, flags, context))

  key.command('list').description('list the accounts that a hub knows')
    .option('--dir <folder>', HUB_DIR)
    .option('--json', 'print JSON')
    .action(async (flags: AdminFlags) => runList(flags, context))

  key.command('revoke').description('make an API key worthless, for good')
    .argument('<key>', 'the API key, or its public key in hexadecimal')
    .option('--dir <folder>', HUB_DIR)
    .option('--json', 'print JSON')
    .action(async (text: string, flags: AdminFlags) => runRevoke(text, flags, context))
}

async function runShow(flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  const dir = resolve(flags.dir ?? (env['TRIFORCE_DIR'] || configDefaults.nodeDir))
  const made = !existsSync(keyFilePath(dir))
  // The peer id of a sealed key stands in the clear, so nobody is asked for a passphrase just to see it.
  const known = await inspectKeyFile(dir)
    ?? await loadOrCreateIdentity(dir, { passphrase: await passphraseFor(dir, { env, askPassphrase: passphrasePrompt() }) })
  const sealed = (await inspectKeyFile(dir))?.sealed === true
  if (flags.json === true) return printJson(terminal, { peerId: known.peerId, file: keyFilePath(dir), sealed, made })
  terminal.print(known.peerId)
  terminal.note(`${made ? 'made' : 'from'} ${keyFilePath(dir)}${sealed ? ', sealed with a passphrase' : ''}`)
}

async function runCreate(flags: CreateFlags, { terminal, env }: CommandContext): Promise<void> {
  const admin = (await findAdmin(flags, env)).admin
  const apiKey = createApiKey()
  const publicKey = publicHalfOf(apiKey)
  const wanted = flags.account ?? flags.name
  const known = accountNamed(await admin.accounts(), wanted)
  const account = known ?? await admin.openAccount({ publicKey, name: wanted, tier: flags.tier })
  const terms = keyTermsBodyOf(flags)
  await admin.addKey({ publicKey, account: account.account, name: flags.name, ...(terms === undefined ? {} : { terms }) })
  if (flags.credits !== undefined) {
    // Each call is a grant of its own; a repeat of this very request would be the same one.
    await admin.grant({ account: account.account, microCredits: flags.credits, source: `cli/${randomUUID()}` })
  }
  if (flags.json === true) return printJson(terminal, { apiKey, publicKey, account: account.account, accountName: account.name, opened: known === undefined })
  terminal.print(apiKey)
  for (const line of formatPairs([
    ['account', `${account.name} (${account.account})${known === undefined ? ', opened' : ''}`],
    ['public key', publicKey],
    ...(flags.credits === undefined ? [] : [['granted', `${formatCredits(flags.credits)} credits`] as const]),
  ])) terminal.note(line)
  terminal.note('The key above is shown this once: the hub keeps its public half only.')
}

async function runAdd(peerId: string, flags: AddFlags, { terminal, env }: CommandContext): Promise<void> {
  const key = publicKeyOf(peerId)
  if (key === undefined) throw usageError(`"${peerId}" is no peer id; "triforce key show --dir DIR" prints it at the contributor`)
  const { admin } = await findAdmin(flags, env)
  const account = accountNamed(await admin.accounts(), flags.account)
  if (account === undefined) throw usageError(`no account is called "${flags.account}"; "triforce key list" shows them`)
  await admin.addKey({ publicKey: toHex(key), account: account.account, name: flags.name })
  if (flags.json === true) return printJson(terminal, { publicKey: toHex(key), account: account.account, accountName: account.name })
  terminal.note(`${peerId} earns for ${account.name} from now on`)
}

async function runList(flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  const accounts = await (await findAdmin(flags, env)).admin.accounts()
  if (flags.json === true) return printJson(terminal, accounts)
  for (const line of formatTable(
    [{ title: 'NAME', shrink: true }, { title: 'ACCOUNT' }, { title: 'TIER' }, { title: 'CREDITS', align: 'right' }],
    accounts.map((account) => [account.name, account.account, account.tier, formatCredits(account.balance_micro_credits)]),
  )) terminal.print(line)
}

async function runRevoke(text: string, flags: AdminFlags, { terminal, env }: CommandContext): Promise<void> {
  const publicKey = /^[0-9a-f]{64}$/.test(text) ? text : publicHalfOf(text)
  await (await findAdmin(flags, env)).admin.revokeKey(publicKey)
  if (flags.json === true) return printJson(terminal, { revoked: publicKey })
  terminal.note(`revoked ${publicKey}; hubs that are up refuse it within a few seconds`)
}
