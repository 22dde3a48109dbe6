/** `triforce up` from the lock to the last line: launches the local federation, says how to use it, and stops it. */
import { takeDirLock } from './dir-lock.ts'
import { CommandError } from './command-error.ts'
import { configDefaults } from './config.ts'
import { launchFederation, type LaunchedFederation } from './local-federation/launch.ts'
import { localLayout } from './local-federation/layout.ts'
import { makePrivateDir } from './private-file.ts'
import { createProgress } from './progress.ts'
import { createStopRequest } from './signals.ts'
import { removeState, upStatePath, writeState } from './state-files.ts'
import { createClock } from './system.ts'
import { printable, type Terminal } from './terminal.ts'

export interface UpOptions {
  /** Absolute. */
  readonly dir: string
  readonly contributors: number
  readonly apiPort: number
  readonly p2pPort: number
  /** Flags of `start` that the nodes get as they are. */
  readonly hubArgs: readonly string[]
  readonly contributorArgs: readonly string[]
  /** Tier and first credits of the account `local`. */
  readonly local: { readonly tier: string; readonly microCredits: bigint }
  readonly json: boolean
}

export interface UpComponents {
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  /** Path of the program's entry, which the nodes run too. */
  readonly entry: string
}

export const upDefaults = Object.freeze({
  contributors: 1,
  // Each is a process of about 100 MB and more with its model.
  contributorsMax: 16,
  apiPort: 8330,
  p2pPort: 4330,
  /** Two rounds of stopping nodes (childNodeDefaults.stopMsMax), and a little. */
  exitMsMax: 25_000,
})

/** Resolves after an ordered stop. Throws a CommandError where the federation cannot start or a node is given up. */
export async function runUp(options: UpOptions, { terminal, env, entry }: UpComponents): Promise<void> {
  const layout = localLayout(options.dir, options.contributors)
  await makePrivateDir(options.dir)
  const taken = await takeDirLock(layout.lockFile)
  if (!taken.held) {
    throw new CommandError(`a federation runs in ${options.dir} already (pid ${taken.pid}); use it with "triforce chat", `
      + 'stop it with Ctrl-C in its terminal, or give another --dir')
  }
  const clock = createClock()
  const progress = createProgress({ terminal, clock })
  let launched: LaunchedFederation | undefined
  const stop = createStopRequest({
    deadlineMs: upDefaults.exitMsMax,
    beforeForcedExit: (why) => {
      launched?.kill()
      terminal.note(`ended at once (${why}); the nodes end with it`)
    },
  })
  stop.signal.addEventListener('abort', () => terminal.note('stopping the federation; once more ends it at once'), { once: true })
  // Timers of the clock and the lock let a process end; this one must not while its nodes are being started again.
  const keepAlive = setInterval(() => {}, 60_000)
  const statePath = upStatePath(options.dir)
  try {
    launched = await launchFederation(
      { clock, entry, env, progress, note: (line) => terminal.note(line) },
      { ...options, layout, signal: stop.signal },
    )
    const running = launched
    const save = async (): Promise<void> => writeState(statePath, { v: 1, pid: process.pid, report: running.report() })
    await save()
    running.onChange(() => {
      save().catch((error: unknown) => terminal.note(`${statePath} cannot be written: ${String(error)}`))
    })
    progress.clear()
    if (options.json) terminal.print(JSON.stringify(running.report()))
    else for (const line of welcome(running, options.dir, terminal)) terminal.print(line)
    const outcome = await Promise.race([stop.requested, running.failed])
    if (outcome instanceof Error) throw outcome
  } catch (error) {
    throw launched === undefined && stop.signal.aborted ? new CommandError('stopped before the federation was ready') : error
  } finally {
    progress.waitFor('waiting for the nodes to stop')
    await launched?.stop()
    progress.clear()
    await removeState(statePath)
    await taken.lock.release()
    clearInterval(keepAlive)
    stop.dispose()
  }
  if (!options.json) terminal.note('stopped; "triforce up" goes on where it was')
}

const QUESTION = 'What is TriForce?'

/** How to use it. The curl can be pasted as it stands. */
function welcome(launched: LaunchedFederation, dir: string, terminal: Terminal): string[] {
  const { apiKey, hubs, contributors } = launched.report()
  const { model } = launched
  const [api = ''] = hubs.map((hub) => hub.api)
  const others = hubs.slice(1).map((hub) => hub.api).join(', ')
  const bold = (text: string): string => terminal.style('bold', text)
  const chatDir = dir === configDefaults.localDir ? '' : ` --dir ${shellQuoted(dir)}`
  const contributorText = contributors.length === 1 ? '1 contributor' : `${contributors.length} contributors`
  const demo = model?.triforce.demo === true ? ' (a demo: it knows TriForce and nothing else)' : ''
  const modelText = model === undefined ? 'none; start a contributor, see docs/operating.md' : `${printable(model.id)}${demo}`
  const lines = [
    '',
    bold(`TriForce runs on this machine: 3 hubs and ${contributorText}.`),
    '',
    `  API    ${bold(`${api}/v1`)}   (the other hubs: ${others})`,
    `  key    ${bold(apiKey)}`,
    `  model  ${modelText}`,
    `  state  ${dir}`,
    '',
  ]
  if (model !== undefined) {
    // Without a name, chat takes the first of all models.
    const isOnly = contributors.every(({ models }) => models.every((id) => id === model.id))
    const chatModel = isOnly ? '' : ` --model ${shellQuoted(model.id)}`
    const body = JSON.stringify({ model: model.id, stream: true, messages: [{ role: 'user', content: QUESTION }] })
    lines.push(
      'Ask it:',
      '',
      `curl -N ${api}/v1/chat/completions \\`,
      `  -H 'Authorization: Bearer ${apiKey}' \\`,
      `  -H 'Content-Type: application/json' \\`,
      `  -d ${shellQuoted(body)}`,
      '',
      `npx triforce chat${chatModel} "${QUESTION}"${chatDir}`,
      '',
    )
  }
  return [...lines, 'Ctrl-C stops it; balances and receipts stay.']
}

function shellQuoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll('\'', '\'\\\'\'')}'`
}
