import { createCloudProvider, type StartedCloudProvider } from '../../providers/cloud/cloud-provider.ts'
import { vendors } from '../../providers/cloud/vendors.ts'
import { fixedRandom, realClock } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import type { PlayedAnswer } from '../support/vendors/answers.ts'
import { startAnthropicVendor } from '../support/vendors/anthropic-vendor.ts'
import { cloudCases } from '../support/vendors/cases.ts'
import { anthropicErrorCases, openAiErrorCases } from '../support/vendors/error-cases.ts'
import { startOpenAiVendor } from '../support/vendors/openai-vendor.ts'

for (const vendor of vendors) {
  const { id } = vendor
  const start = () => id === 'anthropic' ? startAnthropicVendor() : startOpenAiVendor(id as Parameters<typeof startOpenAiVendor>[0])
  const errors = id === 'anthropic' ? anthropicErrorCases : openAiErrorCases[id as keyof typeof openAiErrorCases]

  describe(`providers/cloud, what every vendor does: ${id}, played`, () => {
    let server: Awaited<ReturnType<typeof start>>
    let provider: StartedCloudProvider
    let model: string

    before(async () => {
      server = await start()
      provider = createCloudProvider({ clock: realClock(), random: fixedRandom(), log: quietLog('cloud') }, { vendor, key: 'key', baseUrl: id === 'anthropic' ? server.origin : `${server.origin}/v1` })
      await provider.start()
      model = provider.models().find(({ capabilities }) => capabilities.includes('tools'))!.id
    })
    after(async () => {
      await provider.close()
      await server.stop()
    })

    for (const { name, played, needs, run } of cloudCases) {
      if (needs === 'embeddings' && (vendor.family !== 'openai' || vendor.openai.embeddings === undefined)) continue
      it(name, async () => {
        if (played !== undefined) server.script.push('status' in played ? errorReply(played.status) : server.reply(asPlayed(name, played)))
        await run(provider, model)
      })
    }

    function errorReply(status: 401 | 404) {
      const code = status === 401 ? 'VENDOR_REFUSED' : 'MODEL_NOT_FOUND'
      // Vendors that have no list of it in their own form answer as most do.
      const error = errors.find((one) => one.code === code && one.name.includes(status === 401 ? 'key' : 'model')) ?? { status, body: { error: { message: 'Not Found' } } }
      return { status: error.status, parts: [JSON.stringify(error.body)] }
    }

    /** Anthropic gives JSON without a schema as the input of a tool. */
    function asPlayed(name: string, played: PlayedAnswer): PlayedAnswer {
      if (id !== 'anthropic' || name !== 'gives any JSON') return played
      return { toolCalls: [{ id: 'toolu_1', name: 'json_answer', arguments: played.text! }], finish: 'tool_calls', usage: played.usage }
    }
  })
}
