/** What a build of the embedded engine finds on this machine, and whether it computes there: the last word, whatever the driver says. */
import { fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { demoModelPath } from './demo-model.ts'
import type { EngineLocation } from './engine-install.ts'
import { createLastWords } from './last-words.ts'

export interface EngineDevices {
  /** `cuda`, `vulkan`, `metal`, or `cpu`. */
  readonly backend: string
  readonly names: readonly string[]
  /** Over all devices; 0 on a processor. */
  readonly vramBytes: number
  readonly vramFreeBytes: number
}

export interface EngineProbe {
  /** Undefined where the engine does not start. */
  readonly devices: EngineDevices | undefined
  /** It has loaded the demo model there and computed a token. */
  readonly computes: boolean
  /** Why not, in the engine's words where it had some. */
  readonly problem?: string
}

export type FromDeviceProcess =
  | { readonly type: 'devices'; readonly devices: EngineDevices }
  | { readonly type: 'computed' }

/** Starting CUDA for the first time takes some seconds, and a driver that translates kernels for a card new to it some ten more. */
const WAIT_MS_MAX = 60_000

/** Starts the engine for a moment; never rejects. */
export async function probeEngine(engine: EngineLocation, options: { readonly waitMsMax?: number } = {}): Promise<EngineProbe> {
  const waitMsMax = options.waitMsMax ?? WAIT_MS_MAX
  const { promise, resolve } = Promise.withResolvers<EngineProbe>()
  const words = createLastWords()
  let devices: EngineDevices | undefined
  let computes = false
  // The entry is a `.ts` file in the checkout and a `.js` file in the package, as this file is.
  const main = fileURLToPath(new URL(`device-main${extname(import.meta.url)}`, import.meta.url))
  const child = fork(main, [engine.entry, demoModelPath], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [], timeout: waitMsMax, killSignal: 'SIGKILL', env: { ...process.env, GGML_NO_BACKTRACE: '1' },
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => words.add(text))
  child.on('message', (message) => {
    const told = message as FromDeviceProcess
    if (told.type === 'devices') devices = told.devices
    else computes = true
  })
  child.on('error', (error) => resolve({ devices, computes, problem: `it cannot be started: ${error.message}` }))
  child.on('close', (code, signal) => {
    const how = signal === 'SIGKILL' ? `it gave no answer in ${waitMsMax / 1_000} s` : `it ended with ${signal ?? `code ${code}`}`
    resolve({ devices, computes, ...(computes ? {} : { problem: words.telling() ?? how }) })
  })
  return await promise
}
