/** `triforce start`: one node in the foreground, until it is asked to stop. */
import { join } from 'node:path'
import { Option, type Command } from 'commander'
import { passphrasePrompt } from '../ask-passphrase.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { CommandError, describeError } from '../command-error.ts'
import type { NodeConfig } from '../config.ts'
import { waitForDirLock } from '../dir-lock.ts'
import { reportOf } from '../local-federation/messages.ts'
import { openNodeConfig } from '../open-node.ts'
import { nodeOptionTable, readSettings, type FlagValues, type OptionSpec } from '../option-table.ts'
import { createProgress } from '../progress.ts'
import type { RunningNode } from '../running-node.ts'
import { collectStartGarbage } from '../start-garbage.ts'
import { createStopRequest, type StopRequest } from '../signals.ts'
import { nodeStatePath, removeState, writeState } from '../state-files.ts'
import { createSystem, type System } from '../system.ts'
import { formatPairs } from '../table.ts'
import { cut } from '../terminal.ts'
import { printJson, type CommandContext } from './context.ts'
import type { HubAnswer } from '../../node/contributor/registrar.ts'
import { registrationLines } from '../registration-lines.ts'
import type { Terminal } from '../terminal.ts'

export const startDefaults = Object.freeze({
  /** Ordered stop: running answers are ended, receipts written, the store closed. Below the 10 s that `docker stop` gives. */
  stopMsMax: 8_000,
  /** The process ends even where the stop above hangs. */
  exitMsMax: 9_000,
  /** A node whose `up` was killed needs a moment to notice; a successor in the same folder waits this long for it. */
  lockMsMax: 12_000,
  /** Who started a node by hand sees it; only one that is just ending is waited for. */
  lockByHandMsMax: 2_500,
})

export function addStartCommand(program: Command, context: CommandContext): void {
  const command = program.command('start').description('run one node of a federation in the foreground').option('--json', 'print one JSON line when ready')
  for (const spec of Object.values(nodeOptionTable) as OptionSpec<unknown>[]) {
    const option = new Option(spec.flag, `${spec.description} (default: ${spec.fallback}; ${spec.env.join(' or ')})`)
    command.addOption(spec.hidden === true ? option.hideHelp() : option)
  }
  command.action(async (flags: FlagValues & { readonly json?: boolean }) => {
    try {
      await runStart(flags, context)
    } catch (error) {
      const reason = error instanceof TriforceError ? error.context['reason'] : undefined
      context.parent?.tell({ type: 'failed', sentence: describeError(error).sentence, ...(typeof reason === 'string' ? { reason } : {}) })
      throw error
    } finally {
      context.parent?.leave()
    }
  })
}

async function runStart(flags: FlagValues & { readonly json?: boolean }, context: CommandContext): Promise<void> {
  const { terminal, parent } = context
  const { json, ...settingFlags } = flags
  const stop = createStopRequest({ deadlineMs: startDefaults.exitMsMax, beforeForcedExit: (why) => terminal.note(`ended at once: ${why}`) })
  const config = await openNodeConfig(readSettings(settingFlags, context.env), { env: context.env, askPassphrase: passphrasePrompt() })
  const system = createSystem({ level: config.logLevel, json: config.logJson, file: config.logFile })
  const progress = createProgress({ terminal, clock: system.clock })
  const lockPath = join(config.dir, 'node.lock')
  // Below `up` stderr is the log, and `up` itself says what it waits for.
  const waitFor = (what: string): void => { if (parent === undefined) progress.waitFor(what) }
  waitFor(`waiting for the node that runs in ${config.dir} to end`)
  const waitMsMax = parent === undefined ? startDefaults.lockByHandMsMax : startDefaults.lockMsMax
  const taken = await waitForDirLock(lockPath, { waitMsMax, signal: stop.signal })
  progress.clear()
  if (!taken.held) throw new CommandError(`a node runs in ${config.dir} already (pid ${taken.pid}); stop it first, or give another --dir`)
  try {
    waitFor('the node is starting')
    const node = await context.startNode(config, system)
    progress.clear()
    await serve(node, { config, system, stop, json: json === true }, context)
  } finally {
    progress.clear()
    await taken.lock.release()
    stop.dispose()
  }
  // A handle that some library left open must not keep a stopped node alive.
  setTimeout(() => process.exit(), 1_000).unref()
}

interface Serving {
  readonly config: NodeConfig
  readonly system: System
  readonly stop: StopRequest
  readonly json: boolean
}

async function serve(node: RunningNode, { config, system, stop, json }: Serving, { terminal, parent }: CommandContext): Promise<void> {
  const statePath = nodeStatePath(config.dir)
  try {
    await writeState(statePath, {
      v: 1, pid: node.pid, name: node.name, mode: node.mode, peerId: node.peerId, api: node.api,
      ...(config.apiKey === undefined ? {} : { apiKey: config.apiKey }),
    })
    parent?.onMessage(({ type }) => {
      if (type === 'describe') parent.tell({ type: 'ready', node: reportOf(node) })
    })
    collectStartGarbage()
    if (json) printJson(terminal, { ready: true, ...reportOf(node) })
    else if (parent !== undefined) system.log.info('node runs', { name: node.name, mode: node.mode, peer: node.peerId, api: node.api, pid: node.pid })
    else {
      for (const line of summary(node, config)) terminal.note(line)
      if (node.registered !== undefined) void tellRegistration(node.registered, terminal)
    }
    parent?.tell({ type: 'ready', node: reportOf(node) })

    const outcome = await Promise.race([stop.requested, node.failed])
    if (outcome instanceof Error) throw outcome
    system.log.info('stopping', { why: outcome })
  } finally {
    await node.stop({ signal: AbortSignal.timeout(startDefaults.stopMsMax) })
    await removeState(statePath)
  }
}

function summary(node: RunningNode, config: NodeConfig): string[] {
  const { hubs } = node.status()
  const connected = hubs.filter((hub) => hub.connected && hub.peerId !== node.peerId).map((hub) => hub.name)
  const others = hubs.filter((hub) => hub.peerId !== node.peerId).length
  const models = node.models()
  const lends = node.mode === 'contributor' || node.mode === 'hybrid'
  return formatPairs([
    ['node', `${node.name} (${node.mode} of ${config.federation.network})`],
    ['peer id', node.peerId],
    ['API', `${node.api}/v1`],
    ['listens', node.p2p.join(' ')],
    ['hubs', connected.length === 0 ? `none of ${others} reached yet; it keeps trying` : `${connected.join(', ')} (${connected.length} of ${others})`],
    ...(lends || models.length > 0 ? [['offers', cut(models.length === 0 ? 'no model yet' : models.join(', '), 80)] as const] : []),
    ['state', config.dir],
    ['stop', 'Ctrl-C'],
  ])
}

/** What the first hub says of this machine: it comes a moment after the start, and later where no hub is reached yet. */
async function tellRegistration(registered: Promise<HubAnswer>, terminal: Terminal): Promise<void> {
  const { info, error } = await registered
  for (const line of registrationLines(info, error?.message)) terminal.note(line)
}
