import { startOllamaServer } from '../support/ollama-server.ts'
import { describeOllama } from './ollama.suite.ts'

const able = 'able:8b'

describeOllama('the server of the tests', async () => {
  const server = await startOllamaServer([
    { name: 'llama3.2:latest' },
    { name: able, capabilities: ['completion', 'tools', 'thinking', 'vision'], digest: '2'.repeat(64) },
    { name: 'nomic-embed-text:latest', capabilities: ['embedding'], digest: '3'.repeat(64) },
  ])
  server.behaviour.words = 500
  return {
    host: server.host, model: 'llama3.2:latest', answerMsMax: 5_000,
    able: { tools: able, reasoning: able, logprobs: 'llama3.2:latest', embedding: 'nomic-embed-text:latest' },
    breakNext() {
      server.behaviour.failAfter = 3
      return () => { server.behaviour.failAfter = undefined }
    },
    close: () => server.stop(),
  }
})
