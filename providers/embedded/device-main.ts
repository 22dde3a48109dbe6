/**
 * Entry of a short process that asks the engine which devices it can compute on, and has it compute one token there: started by
 * `fork` in device-list.ts, never imported. A process of its own, since a GPU's libraries can crash and keep memory of the GPU.
 */
import process from 'node:process'
import type * as NodeLlamaCpp from 'node-llama-cpp'
import type { FromDeviceProcess } from './device-list.ts'

const [entry = '', modelPath = ''] = process.argv.slice(2)
const library = await import(entry) as typeof NodeLlamaCpp
const llama = await library.getLlama({ build: 'never', logLevel: library.LlamaLogLevel.error, gpu: 'auto' })
const { total, free } = await llama.getVramState()
await tell({ type: 'devices', devices: { backend: llama.gpu === false ? 'cpu' : llama.gpu, names: await llama.getGpuDeviceNames(), vramBytes: total, vramFreeBytes: free } })
const model = await llama.loadModel({ modelPath })
const context = await model.createContext({ contextSize: 32 })
for await (const token of context.getSequence().evaluate(model.tokenize('a'))) {
  void token
  break
}
await tell({ type: 'computed' })
process.exit()

async function tell(message: FromDeviceProcess): Promise<void> {
  await new Promise<void>((resolve) => { process.send?.(message, () => resolve()) })
}
