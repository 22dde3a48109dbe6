/**
 * Entry of a short process that asks the engine which devices it can compute on: started by `fork` in device-list.ts,
 * never imported. A process of its own, since loading a GPU's libraries can crash and keeps memory of the GPU.
 */
import process from 'node:process'
import type * as NodeLlamaCpp from 'node-llama-cpp'
import type { EngineDevices } from './device-list.ts'

const [entry = ''] = process.argv.slice(2)
const library = await import(entry) as typeof NodeLlamaCpp
const llama = await library.getLlama({ build: 'never', logLevel: library.LlamaLogLevel.error, gpu: 'auto' })
const { total, free } = await llama.getVramState()
const devices: EngineDevices = { backend: llama.gpu === false ? 'cpu' : llama.gpu, names: await llama.getGpuDeviceNames(), vramBytes: total, vramFreeBytes: free }
process.send?.(devices, () => process.exit())
