/** The small model that comes along: what a local federation offers, and what tells whether a build of the engine computes on this machine. */
import { fileURLToPath } from 'node:url'

export const demoModelPath = fileURLToPath(new URL('../demo-model/triforce-demo.gguf', import.meta.url))
