import { join } from 'node:path'
import { createBenchSource, BENCH_SOURCE_MODEL } from '../../providers/bench-source.ts'
import { createOllamaProvider } from '../../providers/ollama.ts'
import { startOllamaServer } from '../support/ollama-server.ts'
import { writeTinyModel } from '../support/provider-gguf.ts'
import { fixedRandom, realClock, realEmbedded, tempFolder } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { describeProvider } from './provider.suite.ts'

describeProvider('embedded', async () => {
  const folder = await tempFolder()
  const path = await writeTinyModel(join(folder.path, 'tiny.gguf'))
  const provider = await realEmbedded({ models: [{ path, keepLoaded: true }], slots: 2 })
  return {
    provider, model: 'tiny', windowTokens: 64, long: { temperature: 0 },
    async close() {
      await provider.close()
      await folder.remove()
    },
  }
})

describeProvider('ollama', async () => {
  const server = await startOllamaServer()
  server.behaviour.words = 5_000
  const provider = createOllamaProvider({ clock: realClock(), random: fixedRandom(), log: quietLog('ollama') }, { host: server.host })
  await provider.start()
  return {
    provider, model: 'llama3.2:latest', windowTokens: 64, long: {},
    async close() {
      await provider.close()
      await server.stop()
    },
  }
})

describeProvider('bench source', async () => {
  const provider = createBenchSource({ clock: realClock() })
  return { provider, model: BENCH_SOURCE_MODEL, windowTokens: 16, long: { messages: [{ role: 'user', content: 'tokens=4000' }] }, close: () => provider.close() }
})
