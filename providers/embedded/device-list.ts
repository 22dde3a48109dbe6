/** Which devices the embedded engine itself finds: the last word on whether a GPU can be used, whatever the driver says. */
import { fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EngineLocation } from './engine-install.ts'

export interface EngineDevices {
  /** `cuda`, `vulkan`, `metal`, or `cpu`. */
  readonly backend: string
  readonly names: readonly string[]
  /** Over all devices; 0 on a processor. */
  readonly vramBytes: number
  readonly vramFreeBytes: number
}

/** Starting CUDA for the first time takes some seconds. */
const WAIT_MS_MAX = 20_000

/** Undefined where the engine does not start or does not answer. */
export async function listEngineDevices(engine: EngineLocation, options: { readonly waitMsMax?: number } = {}): Promise<EngineDevices | undefined> {
  // The entry is a `.ts` file in the checkout and a `.js` file in the package, as this file is.
  const main = fileURLToPath(new URL(`device-main${extname(import.meta.url)}`, import.meta.url))
  const { promise, resolve } = Promise.withResolvers<EngineDevices | undefined>()
  const child = fork(main, [engine.entry], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], execArgv: [], timeout: options.waitMsMax ?? WAIT_MS_MAX, killSignal: 'SIGKILL' })
  child.on('message', (message) => resolve(message as EngineDevices))
  child.on('error', () => resolve(undefined))
  child.on('close', () => resolve(undefined))
  return await promise
}
