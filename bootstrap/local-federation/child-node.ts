/**
 * One node in its own process: started from this program's entry, watched, and started again when it dies. A process
 * that dies again and again is given up with the end of its log.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { FileHandle } from 'node:fs/promises'
import type { Clock } from '../../protocol/ports.ts'
import { CommandError } from '../command-error.ts'
import { logFileOf, type NodePlace } from './layout.ts'
import { openLogFile, tailOf } from './log-file.ts'
import { childMessageSchema, type NodeReport, type ParentMessage } from './messages.ts'

export interface ChildNodeComponents {
  readonly clock: Clock
  /** Path of the program's entry; it runs as `.ts` and as compiled `.js`. */
  readonly entry: string
  readonly env: NodeJS.ProcessEnv
  /** A line for people: it died, it is back. */
  readonly note: (line: string) => void
}

export interface ChildNodeOptions {
  readonly place: NodePlace
  /** Arguments after the entry. */
  readonly args: readonly string[]
  readonly startMsMax?: number
  readonly stopMsMax?: number
  readonly restartsMax?: number
  readonly restartWindowMs?: number
  readonly backoffMsMin?: number
  readonly backoffMsMax?: number
}

export const childNodeDefaults = Object.freeze({
  // Opening verifies the whole log: minutes of work only after millions of entries.
  startMsMax: 120_000,
  // A second longer than the node's own deadline, so that its own words come first.
  stopMsMax: 10_000,
  restartsMax: 5,
  restartWindowMs: 120_000,
  backoffMsMin: 250,
  backoffMsMax: 10_000,
})

const TAIL_LINES = 12

export interface ChildNode {
  readonly place: NodePlace
  /** What it said of itself last; undefined before it was ready. */
  report(): NodeReport | undefined
  /** Starts it; resolves when it is ready, rejects with a CommandError where it cannot start. */
  start(): Promise<NodeReport>
  /** Asks for a fresh report; resolves when it comes. */
  describe(): Promise<NodeReport>
  /** Calls back when a restarted process is ready. */
  onRestart(listener: () => void): void
  /** Resolves with the reason when it is given up; stays pending otherwise. */
  readonly failed: Promise<CommandError>
  /** In order; SIGKILL after the deadline. Resolves when the process is gone. */
  stop(): Promise<void>
  kill(): void
}

export function createChildNode(components: ChildNodeComponents, options: ChildNodeOptions): ChildNode {
  const { clock, note } = components
  const { place, args, startMsMax, stopMsMax, restartsMax, restartWindowMs, backoffMsMin, backoffMsMax } = { ...childNodeDefaults, ...options }
  const failed = Promise.withResolvers<CommandError>()
  const restartListeners: (() => void)[] = []
  const waiting: ((report: NodeReport) => void)[] = []
  let restarts: number[] = []
  let child: ChildProcess | undefined
  let gone = Promise.resolve()
  let report: NodeReport | undefined
  let stopping = false
  let cancelRestart = (): void => {}

  /** One life of the process; rejects where it ends before it is ready. */
  async function launch(): Promise<NodeReport> {
    const log = await openLogFile(logFileOf(place))
    const launched = spawnNode(components, args, log)
    child = launched
    await log.close()
    const ready = Promise.withResolvers<NodeReport>()
    const exited = Promise.withResolvers<void>()
    gone = exited.promise
    let sentence: string | undefined
    let reason: string | undefined
    let wasReady = false
    launched.on('message', (message) => {
      const parsed = childMessageSchema.safeParse(message)
      if (!parsed.success) return
      if (parsed.data.type === 'failed') {
        ({ sentence, reason } = parsed.data)
        return
      }
      report = parsed.data.node
      wasReady = true
      ready.resolve(report)
      for (const tell of waiting.splice(0)) tell(report)
    })
    const cancelDeadline = clock.after(startMsMax, () => {
      sentence = `it was not ready after ${startMsMax / 1_000} s`
      launched.kill('SIGKILL')
    })
    void ready.promise.then(cancelDeadline, cancelDeadline)
    const onEnd = (how: string): void => {
      exited.resolve()
      if (child === launched) child = undefined
      if (stopping) ready.reject(new CommandError(`${place.name} was stopped`))
      else if (wasReady) restart(sentence ?? how)
      else if (sentence === undefined) void withTail(`${place.name} could not start: ${how}`).then(ready.reject)
      else ready.reject(new CommandError(`${place.name} could not start: ${sentence}`, { reason }))
    }
    launched.once('error', (error) => onEnd(error.message))
    launched.once('exit', (code, signal) => onEnd(signal === null ? `exit code ${String(code)}` : signal))
    return ready.promise
  }

  /** For an end without a word of its own. */
  async function withTail(sentence: string): Promise<CommandError> {
    const tail = await tailOf(logFileOf(place), TAIL_LINES)
    const shown = tail.length === 0 ? '' : `\nThe end of ${logFileOf(place)}:\n${tail.map((line) => `  ${line}`).join('\n')}`
    return new CommandError(`${sentence}${shown}`)
  }

  function restart(reason: string): void {
    const now = clock.monotonicMs()
    restarts = [...restarts.filter((at) => now - at < restartWindowMs), now]
    if (restarts.length > restartsMax) {
      void withTail(`${place.name} ended ${restarts.length} times within ${restartWindowMs / 1_000} s, last with ${reason}`).then(failed.resolve)
      return
    }
    const delayMs = Math.min(backoffMsMax, backoffMsMin * 2 ** (restarts.length - 1))
    note(`${place.name} ended (${reason}); it is started again`)
    cancelRestart = clock.after(delayMs, () => {
      launch().then((fresh) => {
        note(`${place.name} is back (pid ${fresh.pid})`)
        for (const listener of restartListeners) listener()
      }, (error: unknown) => {
        if (!stopping) restart(error instanceof Error ? error.message.split('\n', 1)[0]! : String(error))
      })
    })
  }

  return {
    place,
    report: () => report,
    start: launch,
    describe: () => new Promise((resolve) => {
      waiting.push(resolve)
      tell(child, { type: 'describe' })
    }),
    onRestart: (listener) => { restartListeners.push(listener) },
    failed: failed.promise,
    stop: async () => {
      stopping = true
      cancelRestart()
      if (child === undefined) return gone
      tell(child, { type: 'stop' })
      const cancel = clock.after(stopMsMax, () => {
        note(`${place.name} did not stop within ${stopMsMax / 1_000} s and was ended`)
        child?.kill('SIGKILL')
      })
      await gone
      cancel()
    },
    kill: () => {
      stopping = true
      cancelRestart()
      child?.kill('SIGKILL')
    },
  }
}

function spawnNode({ entry, env }: ChildNodeComponents, args: readonly string[], log: FileHandle): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, entry, ...args], {
    env,
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
    // Its own process group: Ctrl-C in the terminal reaches only `up`, which then stops all in order, engines included.
    detached: process.platform !== 'win32',
    windowsHide: true,
  })
}

function tell(child: ChildProcess | undefined, message: ParentMessage): void {
  if (child?.connected === true) child.send(message, () => {})
}
