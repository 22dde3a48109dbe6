/** Starts hubs' ledgers as real processes and keeps what they reported. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

export interface HubProcessSettings {
  readonly hub: number
  readonly dir: string
  readonly federation: string
  /** Node key of the hub, hexadecimal. */
  readonly seed: string
  /** TCP ports of the three hubs. */
  readonly ports: readonly number[]
  /** Receipts that are on their way at the same time. */
  readonly workers: number
}

export interface HubHead { readonly hub: number; readonly epoch: number; readonly frames: number; readonly entries: number; readonly hash: string }

export interface HubProcess {
  writable(): Promise<void>
  stopLoad(): Promise<void>
  heads(): Promise<readonly HubHead[]>
  /** SIGKILL; resolves when the process is gone and all that it reported before has arrived. */
  kill(): Promise<void>
  close(): Promise<void>
}

/** `onAcked` gets each acknowledged receipt's id; `onProblem` what must not happen. */
export function startHubProcess(
  settings: HubProcessSettings, onAcked: (id: string, durability: string) => void, onProblem: (problem: string) => void,
): HubProcess {
  const child: ChildProcess = fork(fileURLToPath(new URL('ledger-hub-process.ts', import.meta.url)), [JSON.stringify(settings)], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  let writable = false
  let loadStopped = false
  let ended = false
  let expected = false
  let heads: readonly HubHead[] | undefined
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => { stderr = (stderr + chunk.toString('utf8')).slice(-4_000) })
  child.on('message', (message: { acked?: string; durability?: string; writable?: true; loadStopped?: true; heads?: readonly HubHead[]; failed?: string }) => {
    if (message.acked !== undefined) onAcked(message.acked, message.durability!)
    if (message.writable === true) writable = true
    if (message.loadStopped === true) loadStopped = true
    if (message.heads !== undefined) heads = message.heads
    if (message.failed !== undefined) onProblem(`hub ${settings.hub} failed: ${message.failed}`)
  })
  // `close` comes after the channel's last message.
  child.on('close', (code, signal) => {
    ended = true
    if (!expected) onProblem(`hub ${settings.hub} ended by itself (${code ?? signal}): ${stderr}`)
  })
  const end = async (how: () => void) => {
    expected = true
    how()
    await until(`hub ${settings.hub} ends`, () => ended, 20_000)
  }
  return {
    writable: () => until(`hub ${settings.hub} is writable`, () => writable || ended, 30_000),
    stopLoad: async () => {
      child.send('stop-load')
      await until(`hub ${settings.hub} stops its load`, () => loadStopped || ended, 20_000)
    },
    heads: async () => {
      heads = undefined
      child.send('heads')
      await until(`heads of hub ${settings.hub}`, () => heads !== undefined || ended)
      return heads!
    },
    kill: () => end(() => { child.kill('SIGKILL') }),
    close: () => end(() => { child.send('close') }),
  }
}
