/** Processes inside a namespace: nodes of a federation, and an agent that makes requests there. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ChatAsk, ChatSeen } from '../support/chat-client.ts'
import { TRIFORCE } from '../support/up.ts'

export interface NodeProcess {
  readonly process: ChildProcess
  kill(signal: NodeJS.Signals): Promise<void>
}

const started = new Set<ChildProcess>()

/** Ends every node that was started, also one that is not ready yet. */
export function killNodes(): void {
  for (const child of started) child.kill('SIGKILL')
}

/** Starts `triforce` in a namespace; `start` is over when the node has said that it is ready. Its log goes to `<dir>.log`. */
export async function startNodeIn(namespace: string, dir: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<NodeProcess> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, TRIFORCE, 'start', '--json', '--dir', dir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TRIFORCE_OLLAMA: 'off', TRIFORCE_EMBEDDED: 'off', TRIFORCE_DEMO_MODEL: 'off', TRIFORCE_LOG_LEVEL: 'debug', ...env },
  })
  child.stderr.on('data', (chunk: Buffer) => appendFileSync(`${dir}.log`, chunk))
  const exited = once(child, 'exit')
  started.add(child)
  await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exited.then(() => Promise.reject(new Error(`the node in ${namespace} ended before it was ready, see ${dir}.log`))),
  ])
  return {
    process: child,
    async kill(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await exited
    },
  }
}

/** Runs one command of the command line in a namespace and gives what it printed as JSON. */
export async function triforceIn(namespace: string, ...args: readonly string[]): Promise<unknown> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, TRIFORCE, ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const [code] = await once(child, 'close') as [number]
  if (code !== 0) throw new Error(`triforce ${args[0]} ended with ${code}`)
  return JSON.parse(text)
}

/** A home router's UPnP, in its namespace; gives a function that ends it. */
export async function startUpnpIn(namespace: string, inner: string, outer: string): Promise<() => void> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, join(import.meta.dirname, 'router-upnp.ts'), inner, outer], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await once(child, 'message')
  return () => child.disconnect()
}

export interface ChatTimed extends ChatSeen {
  readonly firstMs: number
  readonly totalMs: number
}

export interface Agent {
  chat(ask: ChatAsk): Promise<ChatTimed>
  get(url: string, key?: string): Promise<{ readonly status: number; readonly text: string }>
  stop(): void
}

export async function startAgentIn(namespace: string): Promise<Agent> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, join(import.meta.dirname, 'agent.ts')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const waiting = new Map<number, (message: { readonly result?: unknown; readonly error?: string }) => void>()
  let last = 0
  child.on('message', (message: { readonly id: number; readonly result?: unknown; readonly error?: string }) => {
    waiting.get(message.id)?.(message)
    waiting.delete(message.id)
  })
  await new Promise<void>((resolve) => {
    waiting.set(0, () => resolve())
  })

  function ask<Result>(body: object): Promise<Result> {
    last += 1
    const id = last
    return new Promise((resolve, reject) => {
      waiting.set(id, ({ result, error }) => error === undefined ? resolve(result as Result) : reject(new Error(error)))
      child.send({ id, ...body })
    })
  }

  return {
    chat: (chat) => ask({ chat }),
    get: (url, key = '') => ask({ get: url, key }),
    stop: () => child.disconnect(),
  }
}
