/**
 * Entry of an engine process: started by `fork` in engine-process.ts, never imported. It lives exactly as long as
 * the node: when the IPC channel closes, also because the node was killed, it ends itself in the middle of whatever it does.
 */
import process from 'node:process'
import { createEngineModel } from './engine-model.ts'
import type { FromEngine, ToEngine } from './engine-messages.ts'

process.title = 'triforce-engine'

// SIGKILL: `exit` would run the native destructors while a decode thread still uses what they free.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

// Ctrl-C and a service manager's stop reach the whole process group; the node decides when the engine ends.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)

const clock = {
  monotonicMs: () => performance.now(),
  after: (ms: number, callback: () => void) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}

const engine = createEngineModel(clock, (message: FromEngine) => {
  // The error is that of a closed channel, on which `disconnect` follows.
  process.send?.(message, undefined, undefined, () => undefined)
})

process.on('message', (message) => engine.take(message as ToEngine))
