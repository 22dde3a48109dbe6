/**
 * `npm run test:ollama`: the same at a real Ollama, whose address is OLLAMA_HOST. It takes the smallest model for each
 * thing that is to be shown, of those that were pulled; nothing is pulled or deleted.
 */
import { ollamaAddress } from '../../providers/ollama-http.ts'
import { createOllamaProvider } from '../../providers/ollama.ts'
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import { createRandom } from '../../bootstrap/system.ts'
import { describeOllama } from '../contract/ollama.suite.ts'
import { realClock } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'

const host = process.env['OLLAMA_HOST']

if (host === undefined || host === '') {
  describe('ollama: a real one', () => {
    it('needs its address in OLLAMA_HOST', function () { this.skip() })
  })
} else {
  describeOllama(`at ${ollamaAddress(host)}`, async () => {
    const address = ollamaAddress(host)
    const models = await offered(address)
    const smallest = (capability: ModelCapability): string | undefined =>
      models.filter(({ capabilities }) => capabilities.includes(capability)).sort((a, b) => a.parameters - b.parameters)[0]?.id
    const model = smallest('chat')
    if (model === undefined) throw new Error(`the Ollama at ${address} has no model that can chat; get one with \`ollama pull\``)
    const able = Object.fromEntries((['tools', 'reasoning', 'logprobs', 'embedding'] as const).flatMap((capability) => {
      const id = smallest(capability)
      return id === undefined ? [] : [[capability, id]]
    }))
    return { host: address, model, able, answerMsMax: 5 * 60_000, close: () => Promise.resolve() }
  })
}

async function offered(address: string) {
  const provider = createOllamaProvider({ clock: realClock(), random: createRandom(), log: quietLog('ollama') }, { host: address })
  await provider.start()
  const health = provider.health()
  const models = provider.models()
  await provider.close()
  if (!health.ok) throw new Error(health.text)
  return models
}
