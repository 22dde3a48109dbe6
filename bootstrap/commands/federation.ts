/** `triforce federation`: make the federation file, sign it hub by hub, and see who signed. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { HUBS_PER_FEDERATION, type Federation, type FederationHub } from '../../protocol/federation.ts'
import { passphrasePrompt } from '../ask-passphrase.ts'
import { CommandError, usageError } from '../command-error.ts'
import {
  createDraft, parseHubArgument, readFederationText, reviewFederation, signDraft, writeFederationFile, type FederationReview,
} from '../federation-file.ts'
import { loadIdentity, loadOrCreateIdentity, keyFilePath } from '../identity.ts'
import { loopbackAddress, signByAll } from '../local-federation/federation.ts'
import { nextFreePort } from '../local-federation/ports.ts'
import { passphraseFor } from '../open-node.ts'
import { parseCount } from '../option-parsers.ts'
import { formatTable, formatTime } from '../table.ts'
import { upDefaults } from '../up.ts'
import { argumentOf, collect } from './arguments.ts'
import { printJson, type CommandContext } from './context.ts'

interface CreateFlags {
  readonly network?: string
  readonly hub?: readonly string[]
  readonly local?: boolean
  readonly dirs?: string
  readonly p2pPort: number
  readonly out: string
  readonly json?: boolean
}

export function addFederationCommand(program: Command, context: CommandContext): void {
  const federation = program.command('federation').description('make, sign and check a federation file')

  federation.command('create').description('write a federation file for its three hubs to sign')
    .option('--network <name>', 'name of the network: lower-case letters, digits and hyphens')
    .option('--hub <name,peerId,multiaddr>', 'a hub; give three, each with one or more multiaddrs after its peer id', collect)
    .option('--local', 'all three hubs on this machine: makes their keys and signs with them')
    .option('--dirs <a,b,c>', 'state folders of the three hubs, with --local')
    .option('--p2p-port <port>', 'first libp2p port, with --local', argumentOf('--p2p-port', parseCount(1, 65_000)), upDefaults.p2pPort)
    .option('--out <file>', 'file to write', 'federation.json')
    .option('--json', 'print JSON')
    .action(async (flags: CreateFlags) => runCreate(flags, context))

  federation.command('sign').description('add the signature of the hub whose key is in --dir')
    .argument('<file>', 'the draft')
    .requiredOption('--dir <folder>', 'state folder of the hub')
    .option('--json', 'print JSON')
    .action(async (file: string, flags: { readonly dir: string; readonly json?: boolean }) => runSign(file, flags, context))

  federation.command('show').description('show a federation file and check its signatures')
    .argument('<file>')
    .option('--json', 'print JSON')
    .action(async (file: string, flags: { readonly json?: boolean }) => runShow(file, flags, context))
}

async function runCreate(flags: CreateFlags, { terminal, env }: CommandContext): Promise<void> {
  const out = resolve(flags.out)
  if (existsSync(out)) throw new CommandError(`${out} exists already; move it away, or give another --out FILE`)
  const text = flags.local === true ? await createLocal(flags, env) : createForThree(flags)
  await writeFederationFile(out, text)
  const review = reviewFederation(text)
  if (flags.json === true) return printJson(terminal, { file: out, ...review })
  for (const line of reviewLines(review)) terminal.print(line)
  terminal.note(review.complete
    ? `wrote ${out}`
    : `wrote the draft ${out}; now each hub signs it on its own machine: triforce federation sign FILE --dir DIR`)
}

function createForThree({ network, hub = [], dirs }: CreateFlags): string {
  if (dirs !== undefined) throw usageError('--dirs goes with --local only; hubs on other machines are named with --hub')
  if (network === undefined) throw usageError('--network is missing; give the new network a name such as --network acme')
  if (hub.length !== HUBS_PER_FEDERATION) {
    throw usageError(`a federation has ${HUBS_PER_FEDERATION} hubs and ${hub.length} were given; give --hub NAME,PEER_ID,MULTIADDR three times`)
  }
  return createDraft(newFederation('public', network, hub.map(parseHubArgument)))
}

async function createLocal({ network, hub, dirs, p2pPort }: CreateFlags, env: NodeJS.ProcessEnv): Promise<string> {
  if (hub !== undefined) throw usageError('--hub does not go with --local, which makes the hubs\' keys itself')
  const folders = (dirs ?? '').split(',').map((part) => part.trim()).filter((part) => part !== '')
  if (folders.length !== HUBS_PER_FEDERATION) throw usageError('--local needs three folders: --dirs A,B,C')
  const identities = []
  for (const folder of folders) {
    const dir = resolve(folder)
    identities.push(await loadOrCreateIdentity(dir, { passphrase: await passphraseFor(dir, { env, askPassphrase: passphrasePrompt() }) }))
  }
  const taken = new Set<number>()
  const hubs: FederationHub[] = []
  for (const [index, { peerId }] of identities.entries()) {
    hubs.push({ name: `hub-${index + 1}`, peerId, addresses: [loopbackAddress(await nextFreePort(p2pPort + index, taken))] })
  }
  const federation = newFederation('local', network ?? 'local', hubs)
  createDraft(federation)
  return signByAll(federation, identities)
}

function newFederation(kind: Federation['kind'], network: string, hubs: FederationHub[]): Federation {
  return { v: 1, network, kind, createdAt: Date.now(), hubs }
}

async function runSign(file: string, flags: { readonly dir: string; readonly json?: boolean }, { terminal, env }: CommandContext): Promise<void> {
  const dir = resolve(flags.dir)
  const text = await readFederationText(file)
  const identity = await loadIdentity(dir, { passphrase: await passphraseFor(dir, { env, askPassphrase: passphrasePrompt() }) })
  if (identity === undefined) {
    throw new CommandError(`there is no key at ${keyFilePath(dir)}; name the hub's state folder with --dir, or make a key with "triforce key show"`)
  }
  const signed = signDraft(text, identity)
  await writeFederationFile(resolve(file), signed.text)
  const review = reviewFederation(signed.text)
  if (flags.json === true) return printJson(terminal, { file: resolve(file), signedBy: signed.hub, missing: signed.missing, ...review })
  for (const line of reviewLines(review)) terminal.print(line)
  terminal.note(signed.missing.length === 0
    ? `signed as ${signed.hub}; the file is complete, give it to every node`
    : `signed as ${signed.hub}; pass the file on to ${signed.missing.join(' and ')}`)
}

async function runShow(file: string, flags: { readonly json?: boolean }, { terminal }: CommandContext): Promise<void> {
  const review = reviewFederation(await readFederationText(file))
  if (flags.json === true) printJson(terminal, review)
  else for (const line of reviewLines(review)) terminal.print(line)
  const open = review.hubs.filter((hub) => hub.signature !== 'valid')
  if (open.length === 0) return
  const broken = open.find((hub) => hub.signature === 'invalid')
  throw new CommandError(broken === undefined
    ? `not complete: ${open.map((hub) => hub.name).join(' and ')} must sign it with "triforce federation sign ${file} --dir DIR"`
    : `the signature of ${broken.name} does not fit: the file was changed after it was signed; ask a hub admin for a fresh copy`)
}

function reviewLines({ federation, hubs }: FederationReview): string[] {
  return [
    `network ${federation.network} (${federation.kind}), made ${formatTime(federation.createdAt)} UTC`,
    ...formatTable(
      [{ title: 'HUB' }, { title: 'PEER ID' }, { title: 'ADDRESSES', shrink: true }, { title: 'SIGNATURE' }],
      hubs.map((hub) => [hub.name, hub.peerId, hub.addresses.join(' '), hub.signature]),
    ),
  ]
}
