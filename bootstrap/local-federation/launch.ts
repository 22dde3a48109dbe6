/**
 * A whole federation on this machine: chooses ports, starts three hubs and the contributors as processes of their own,
 * opens the accounts and waits until it can answer. Gives a handle to watch it and to stop it in order.
 */
import { cloudEnvNames } from '../../providers/cloud/access-from-env.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { ModelView } from '../api-schemas.ts'
import { CommandError } from '../command-error.ts'
import type { Progress } from '../progress.ts'
import type { UpReport } from '../state-files.ts'
import { printable } from '../terminal.ts'
import { loadOrCreateIdentity } from '../identity.ts'
import { ensureAccounts, loadOrCreateAccountKeys, type AccountKeys, type AccountsInput } from './accounts.ts'
import { createChildNode, type ChildNode } from './child-node.ts'
import { prepareLocalFederation } from './federation.ts'
import { logFileOf, type LocalLayout } from './layout.ts'
import { tailOf } from './log-file.ts'
import type { NodeReport } from './messages.ts'
import { waitForModel } from './models.ts'
import { nextFreePort } from './ports.ts'

export interface LaunchComponents {
  readonly clock: Clock
  readonly entry: string
  readonly env: NodeJS.ProcessEnv
  readonly progress: Progress
  readonly note: (line: string) => void
}

export interface LaunchOptions {
  readonly layout: LocalLayout
  /** First port of the hubs' HTTP APIs. */
  readonly apiPort: number
  /** First port of the hubs' libp2p. */
  readonly p2pPort: number
  /** Flags of `start` that the nodes get as they are. */
  readonly hubArgs: readonly string[]
  readonly contributorArgs: readonly string[]
  /** Tier and first credits of the account `local`. */
  readonly local: AccountsInput['local']
  readonly signal: AbortSignal
}

export interface LaunchedFederation {
  report(): UpReport
  readonly model: ModelView | undefined
  /** Calls back when a node was started again and `report()` has changed. */
  onChange(listener: () => void): void
  /** Resolves with the reason when a node was given up. */
  readonly failed: Promise<CommandError>
  /** Contributors first, so that no hub sees one die. */
  stop(): Promise<void>
  /** At once, and in no order. */
  kill(): void
}

/** Between choosing a port and listening at it another program may take it; then other ports are chosen. */
const PORT_ROUNDS_MAX = 3

/** How often the log of a starting node is looked at. */
const LAST_WORDS_MS = 500

/** A line of the log for people, without its time and level. */
const LOG_LINE = /^\d{4}-\S+Z \w+ +(.+)$/

/** Installing an engine over a slow line may take ten minutes (providers/embedded/engine-install.ts). */
const CONTRIBUTOR_START_MS_MAX = 15 * 60_000

/** Settings of this terminal that are meant for other commands, or for the contributors only. */
const NOT_FOR_NODES = ['TRIFORCE_API', 'TRIFORCE_API_KEY', 'TRIFORCE_LOG_FILE', 'TRIFORCE_NAME', 'TRIFORCE_P2P', 'TRIFORCE_API_HOST']
const NOT_FOR_HUBS = [
  'TRIFORCE_MODELS', 'TRIFORCE_OLLAMA', 'OLLAMA_HOST', 'TRIFORCE_EMBEDDED', 'TRIFORCE_DEMO_MODEL', 'TRIFORCE_SLOTS', 'TRIFORCE_BENCH_SOURCE',
]

export async function launchFederation(components: LaunchComponents, options: LaunchOptions): Promise<LaunchedFederation> {
  const { progress } = components
  const { layout, signal } = options
  const keys = await loadOrCreateAccountKeys(layout.accountsFile)
  const { hubs, contributors } = await startNodes(components, options, keys)
  const all = [...contributors, ...hubs]
  try {
    progress.waitFor('waiting until all three hubs offer a model')
    const model = contributors.length === 0 ? undefined : await Promise.race([
      waitForModel({ apis: hubs.map((hub) => ready(hub).api), apiKey: keys.local }, { signal }),
      firstFailure(all).then((error) => { throw error }),
    ])
    await Promise.all(contributors.map((child) => child.describe()))
    return {
      model,
      report: () => ({
        ready: true,
        apiKey: keys.local,
        model: model?.id ?? '',
        hubs: hubs.map((hub) => {
          const { name, peerId, api, p2p, pid } = ready(hub)
          return { name, peerId, api, p2p: p2p[0] ?? '', pid, dir: hub.place.dir }
        }),
        contributors: contributors.map((child) => {
          const { name, peerId, pid, models } = ready(child)
          return { name, peerId, pid, dir: child.place.dir, models }
        }),
      }),
      onChange: (listener) => { for (const child of all) child.onRestart(listener) },
      failed: firstFailure(all),
      stop: () => stopNodes({ hubs, contributors }),
      kill: () => { for (const child of all) child.kill() },
    }
  } catch (error) {
    await stopNodes({ hubs, contributors })
    throw error
  }
}

interface Nodes {
  readonly hubs: readonly ChildNode[]
  readonly contributors: readonly ChildNode[]
}

/** Starts all nodes at once: a hub that catches up needs the others, and a contributor has its engine to load meanwhile. */
async function startNodes(components: LaunchComponents, options: LaunchOptions, keys: AccountKeys): Promise<Nodes> {
  const { progress, note } = components
  for (let round = 1; ; round++) {
    progress.waitFor('choosing ports')
    const hubs = await hubsOf(components, options)
    const contributors = contributorsOf(components, options, keys)
    const stopTelling = tellLastWords(components, [...hubs, ...contributors])
    try {
      await Promise.all([
        startAll(hubs, options.signal).then(async () => openAccounts(components, options, hubs, keys)),
        startAll(contributors, options.signal),
      ])
      return { hubs, contributors }
    } catch (error) {
      stopTelling()
      progress.waitFor('waiting for the nodes to stop')
      await stopNodes({ hubs, contributors })
      // Whoever had the port may have left it by now; only the node that could not listen knows.
      const wasTaken = error instanceof CommandError && error.reason === 'EADDRINUSE'
      if (options.signal.aborted || round >= PORT_ROUNDS_MAX || !wasTaken) throw error
      note('a port was taken while the hubs started; trying others')
    } finally {
      stopTelling()
    }
  }
}

/** Contributors first, so that no hub sees one die. */
async function stopNodes({ hubs, contributors }: Nodes): Promise<void> {
  await Promise.all(contributors.map((child) => child.stop()))
  await Promise.all(hubs.map((child) => child.stop()))
}

async function hubsOf(components: LaunchComponents, options: LaunchOptions): Promise<readonly ChildNode[]> {
  const { clock, env } = components
  const taken = new Set<number>()
  await prepareLocalFederation(options.layout, taken, { p2pPort: options.p2pPort, now: clock.now(), ...passphraseOf(env) })
  const hubs: ChildNode[] = []
  for (const [index, place] of options.layout.hubs.entries()) {
    const port = await nextFreePort(options.apiPort + index, taken)
    hubs.push(createChildNode({ ...components, env: without(env, [...NOT_FOR_NODES, ...NOT_FOR_HUBS]) }, {
      place, args: [...nodeArgs('hub', place.dir, options.layout), '--api-port', String(port), '--ollama', 'off', ...options.hubArgs],
    }))
  }
  return hubs
}

async function openAccounts({ env }: LaunchComponents, { layout, local, signal }: LaunchOptions, hubs: readonly ChildNode[], keys: AccountKeys): Promise<void> {
  const contributors = await Promise.all(layout.contributors.map(async ({ name, dir }) => {
    return { name, peerId: (await loadOrCreateIdentity(dir, passphraseOf(env))).peerId }
  }))
  await ensureAccounts({ hubs: hubs.map((hub) => ({ api: ready(hub).api, dir: hub.place.dir })), contributors, keys, local }, { signal })
}

function passphraseOf(env: NodeJS.ProcessEnv): { readonly passphrase: string | undefined } {
  return { passphrase: env['TRIFORCE_PASSPHRASE'] || undefined }
}

/** They register for the account `lender`, as any contributor does for its owner's. */
function contributorsOf(components: LaunchComponents, { layout, contributorArgs }: LaunchOptions, keys: AccountKeys): readonly ChildNode[] {
  const env = { ...without(components.env, [...NOT_FOR_NODES, ...cloudEnvNames]), TRIFORCE_API_KEY: keys.lender }
  return layout.contributors.map((place) => createChildNode({ ...components, env }, {
    place,
    startMsMax: CONTRIBUTOR_START_MS_MAX,
    args: [
      ...nodeArgs('contributor', place.dir, layout), '--name', place.name, '--api-port', '0', '--p2p', '/ip4/127.0.0.1/tcp/0',
      ...contributorArgs,
    ],
  }))
}

function nodeArgs(mode: string, dir: string, layout: LocalLayout): readonly string[] {
  return ['start', '--mode', mode, '--dir', dir, '--federation', layout.federationFile, '--api-host', '127.0.0.1']
}

async function startAll(children: readonly ChildNode[], signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(new CommandError('stopped before the federation was ready'))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([Promise.all(children.map((child) => child.start())), aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A first start may install an engine or read large models; what the log of a starting node says last is what is waited for. */
function tellLastWords({ progress, clock }: LaunchComponents, children: readonly ChildNode[]): () => void {
  let stopped = false
  const look = async (): Promise<void> => {
    const waiting = children.filter((child) => child.report() === undefined)
    const [first] = waiting
    if (first === undefined) return progress.waitFor('opening the accounts "local" and "lender" at the hubs')
    const words = waiting.length > 1 ? undefined : LOG_LINE.exec((await tailOf(logFileOf(first.place), 1))[0] ?? '')?.[1]
    if (stopped) return
    const names = waiting.map((child) => child.place.name).join(', ')
    progress.waitFor(words === undefined ? `starting ${names}` : `starting ${names}: ${printable(words)}`)
  }
  let cancel = (): void => {}
  const again = (): void => {
    void look().catch(() => {}).finally(() => { if (!stopped) cancel = clock.after(LAST_WORDS_MS, again) })
  }
  again()
  return () => {
    stopped = true
    cancel()
  }
}

function firstFailure(children: readonly ChildNode[]): Promise<CommandError> {
  return Promise.race(children.map((child) => child.failed))
}

function ready(child: ChildNode): NodeReport {
  const report = child.report()
  if (report === undefined) throw new Error(`${child.place.name} is used before it is ready`)
  return report
}

function without(env: NodeJS.ProcessEnv, names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)))
}
