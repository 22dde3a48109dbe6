/** The three hubs as the parent sees them: start, kill, stop, go on, ask. An answer that can no longer come is `HubGone`. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { PlantedBug } from '../../ledger/planted-bugs.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { TestFederation } from '../support/federation.ts'
import type { CallName, HubCalls, HubNote, HubSettings, ReplyMessage } from './calls.ts'
import { openLink, type Link } from './proxy.ts'

/** The process ended before it answered: what was asked may have happened. */
export class HubGone extends Error {
  override readonly name = 'HubGone'
}

/** What a hub answered in place of a result. */
export class HubRefused extends Error {
  override readonly name = 'HubRefused'
  readonly code: string
  readonly context: Readonly<Record<string, unknown>>
  constructor(code: string, message: string, context: Readonly<Record<string, unknown>>) {
    super(message)
    this.code = code
    this.context = context
  }
}

export interface Hub {
  readonly index: number
  readonly dir: string
  /** The process runs; it may stand still. */
  readonly alive: boolean
  readonly writable: boolean
  /** Resolves when the new process has opened its ledger. */
  start(): Promise<void>
  /** SIGKILL. Resolves when the process is gone and its last words have arrived. */
  kill(): Promise<void>
  pause(): void
  resume(): void
  call<Name extends CallName>(name: Name, ...args: Parameters<HubCalls[Name]>): ReturnType<HubCalls[Name]>
  /** Resolves when it takes entries, or is gone. */
  whenWritable(): Promise<void>
}

export interface NemesisWorld {
  readonly hubs: readonly Hub[]
  /** By the pair of hubs, `0-1`, `0-2`, `1-2`: the lower one dials. */
  readonly links: ReadonlyMap<string, Link>
  linkOf(a: number, b: number): Link
  close(): Promise<void>
}

interface Awaited { readonly resolve: (result: never) => void; readonly reject: (error: Error) => void }

export interface WorldOptions { readonly dirOf: (hub: number) => string; readonly bug?: PlantedBug; readonly onProblem: (problem: string) => void }

export async function openWorld(federation: TestFederation, { dirOf, bug, onProblem }: WorldOptions): Promise<NemesisWorld> {
  const ports: (number | undefined)[] = [undefined, undefined, undefined]
  const links = new Map<string, Link>()
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) links.set(`${a}-${b}`, await openLink(a, b, () => ports[b]))
  const linkOf = (a: number, b: number) => links.get(`${Math.min(a, b)}-${Math.max(a, b)}`)!
  const hubs = [0, 1, 2].map((hub) => {
    const settings: HubSettings = {
      hub, dir: dirOf(hub), federation: federation.text, seed: toHex(federation.hubs[hub]!.seed), ...(bug === undefined ? {} : { bug }),
      dials: [1, 2].filter((other) => other > hub).map((other) => ({ hub: other, port: linkOf(hub, other).port })),
    }
    return createHub(settings, (port) => { ports[hub] = port }, onProblem)
  })
  return {
    hubs, links, linkOf,
    close: async () => {
      await Promise.all(hubs.map((hub) => hub.kill()))
      for (const link of links.values()) link.close()
    },
  }
}

function createHub(settings: HubSettings, onPort: (port: number | undefined) => void, onProblem: (problem: string) => void): Hub {
  const index = settings.hub
  let child: ChildProcess | undefined
  let writable = false
  let nextId = 0
  const awaited = new Map<number, Awaited>()
  let whenListening: Awaited | undefined
  let whenGone: (() => void) | undefined
  let writableWaiters: (() => void)[] = []
  let expected = false

  function onMessage(message: HubNote | ReplyMessage): void {
    if ('note' in message) {
      if (message.note === 'problem') onProblem(`hub ${index}: ${message.text}`)
      if (message.note === 'listening') {
        onPort(message.port)
        whenListening?.resolve(undefined as never)
      }
      if (message.note === 'writable') {
        writable = true
        wake()
      }
      return
    }
    const waiter = awaited.get(message.id)
    awaited.delete(message.id)
    if ('error' in message) waiter?.reject(new HubRefused(message.error.code, message.error.message, message.error.context))
    else waiter?.resolve(message.result as never)
  }

  function wake(): void {
    const waiters = writableWaiters
    writableWaiters = []
    for (const waiter of waiters) waiter()
  }

  function onGone(code: number | null, signal: NodeJS.Signals | null, lastWords: string): void {
    child = undefined
    writable = false
    onPort(undefined)
    if (!expected) onProblem(`hub ${index} ended by itself (${code ?? signal}): ${lastWords}`)
    const waiters = [...awaited.values()]
    awaited.clear()
    for (const { reject } of waiters) reject(new HubGone(`hub ${index} is gone`))
    whenListening?.reject(new HubGone(`hub ${index} is gone`))
    wake()
    whenGone?.()
  }

  return {
    index, dir: settings.dir,
    get alive() { return child !== undefined },
    get writable() { return writable },
    start: () => {
      expected = false
      const started = fork(fileURLToPath(new URL('hub-process.ts', import.meta.url)), [JSON.stringify(settings)], {
        stdio: ['ignore', 'inherit', 'pipe', 'ipc'], serialization: 'advanced', execArgv: process.execArgv.filter((arg) => !arg.startsWith('--test')),
      })
      child = started
      let lastWords = ''
      started.stderr!.on('data', (chunk: Buffer) => {
        lastWords = (lastWords + chunk.toString('utf8')).slice(-4_000)
        if (process.env['TRIFORCE_TEST_LOG'] === '1') process.stderr.write(chunk)
      })
      started.on('message', (message) => { onMessage(message as HubNote | ReplyMessage) })
      // `close` comes after the channel's last message.
      started.on('close', (code, signal) => { onGone(code, signal, lastWords) })
      return new Promise((resolve, reject) => { whenListening = { resolve, reject } })
    },
    kill: () => {
      const killed = child
      if (killed === undefined) return Promise.resolve()
      expected = true
      return new Promise((resolve) => {
        whenGone = resolve
        killed.kill('SIGKILL')
      })
    },
    pause: () => { child?.kill('SIGSTOP') },
    resume: () => { child?.kill('SIGCONT') },
    call: <Name extends CallName>(name: Name, ...args: Parameters<HubCalls[Name]>) => {
      const called = child
      if (called === undefined || !called.connected) return Promise.reject(new HubGone(`hub ${index} is gone`)) as ReturnType<HubCalls[Name]>
      const id = nextId
      nextId += 1
      if (name === 'close') expected = true
      return new Promise((resolve, reject) => {
        awaited.set(id, { resolve, reject })
        called.send({ id, name, args }, (error) => {
          if (error === null) return
          awaited.delete(id)
          reject(new HubGone(`hub ${index} is gone`))
        })
      }) as ReturnType<HubCalls[Name]>
    },
    whenWritable: () => writable || child === undefined ? Promise.resolve() : new Promise((resolve) => { writableWaiters.push(resolve) }),
  }
}
