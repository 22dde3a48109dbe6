/** Starts the hubs of the ledger bench and asks them. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { toHex } from '../../../protocol/bytes.ts'
import type { TestFederation } from '../../support/federation.ts'
import type { BenchCommands, BenchHubSettings } from './ledger-hub.ts'

export interface BenchHub {
  readonly port: number
  ask<Name extends keyof BenchCommands>(name: Name, ...args: Parameters<BenchCommands[Name]>): ReturnType<BenchCommands[Name]>
  /** Resolves when the process has ended. */
  close(): Promise<void>
}

/** `profileDir`: a CPU profile of the process is written there when it closes. */
export async function startBenchHub(world: TestFederation, hub: number, dir: string, profileDir?: string): Promise<BenchHub> {
  const settings: BenchHubSettings = { hub, dir, federation: world.text, seed: toHex(world.hubs[hub]!.seed) }
  const child = fork(fileURLToPath(new URL('ledger-hub.ts', import.meta.url)), [JSON.stringify(settings)], {
    serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=hub${hub}-${Math.round(performance.now())}.cpuprofile`],
  })
  const awaited = new Map<number, { readonly resolve: (result: never) => void; readonly reject: (error: Error) => void }>()
  const ended = new Promise<void>((resolve) => { child.once('close', () => { resolve() }) })
  let next = 0
  const port = await new Promise<number>((resolve, reject) => {
    child.on('message', (message: { readonly ready?: number; readonly id: number; readonly result?: unknown; readonly error?: string }) => {
      if (message.ready !== undefined) {
        resolve(message.ready)
        return
      }
      const waiter = awaited.get(message.id)
      awaited.delete(message.id)
      if (message.error === undefined) waiter?.resolve(message.result as never)
      else waiter?.reject(new Error(message.error))
    })
    child.once('close', (code) => {
      const error = new Error(`hub ${hub} ended with ${code}`)
      reject(error)
      for (const waiter of awaited.values()) waiter.reject(error)
    })
  })
  const ask: BenchHub['ask'] = (name, ...args) => {
    const id = next
    next += 1
    return new Promise((resolve, reject) => {
      awaited.set(id, { resolve, reject })
      child.send({ id, name, args })
    }) as ReturnType<BenchCommands[typeof name]>
  }
  return {
    port, ask,
    close: async () => {
      ask('close').catch(() => {})
      await ended
    },
  }
}
