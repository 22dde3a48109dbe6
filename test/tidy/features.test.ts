import { expect } from 'chai'
import { readAnthropicRequest } from '../../node/bridge/anthropic/request.ts'
import { readOllamaChat, readOllamaGenerate } from '../../node/bridge/ollama/request.ts'
import { readOpenAIChatRequest } from '../../node/bridge/openai/chat-request.ts'
import { readOpenAICompletionsRequest } from '../../node/bridge/openai/completions-request.ts'
import { readOpenAIResponsesRequest } from '../../node/bridge/openai/responses-request.ts'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { features, type Feature } from '../../protocol/features.ts'
import { PNG } from '../support/bridge-sdk.ts'
import { cellOf, dialectFeatures, withFeatureTable } from '../support/feature-table.ts'
import { textOf } from '../support/source-files.ts'

type Read = (body: object) => { readonly completion?: CompletionRequest; readonly stream: boolean }
type Asks = Partial<Record<Feature, object>>

/** What shows in the internal form that a feature was asked for. */
const shows: Readonly<Record<Exclude<Feature, 'embeddings'>, (request: CompletionRequest, stream: boolean) => boolean>> = {
  stream: (_request, stream) => stream,
  tools: ({ tools }) => tools?.[0]?.name === 'look',
  toolChoice: ({ toolChoice }) => toolChoice?.type === 'tool',
  oneToolCall: ({ parallelToolCalls }) => parallelToolCalls === false,
  images: ({ messages }) => messages.some(({ content }) => typeof content !== 'string' && content.some(({ type }) => type === 'image')),
  jsonObject: ({ responseFormat }) => responseFormat.type === 'json_object',
  jsonSchema: ({ responseFormat }) => responseFormat.type === 'json_schema',
  reasoning: ({ reasoning }) => reasoning?.effort === 'high' || reasoning?.tokensMax === 2_000,
  logprobs: ({ logprobs }) => logprobs === 2,
  seed: ({ seed }) => seed === 7,
  stop: ({ stop }) => stop[0] === 'END',
  topK: ({ topK }) => topK === 5,
  penalties: ({ frequencyPenalty, presencePenalty }) => frequencyPenalty === 1 && presencePenalty === 1,
  continueLast: ({ continueLast }) => continueLast,
}

const user = { role: 'user', content: 'hi' }
const schema = { type: 'object' }
const uri = `data:image/png;base64,${PNG}`
const openaiTool = { type: 'function', function: { name: 'look', parameters: schema } }
const sampling = { frequency_penalty: 1, presence_penalty: 1 }
const begun = [user, { role: 'assistant', content: 'I' }]

/** How each dialect asks for a feature: each must lead to what is declared, and what is not here must be declared as `no`. */
const dialects: Readonly<Record<string, { readonly read: Read; readonly least: object; readonly asks: Asks }>> = {
  'OpenAI chat completions': {
    read: readOpenAIChatRequest, least: { model: 'm', messages: [user] }, asks: {
      stream: { stream: true }, tools: { tools: [openaiTool] }, toolChoice: { tools: [openaiTool], tool_choice: { type: 'function', function: { name: 'look' } } },
      oneToolCall: { tools: [openaiTool], parallel_tool_calls: false }, images: { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: uri } }] }] },
      jsonObject: { response_format: { type: 'json_object' } }, jsonSchema: { response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } },
      reasoning: { reasoning_effort: 'high' }, logprobs: { logprobs: true, top_logprobs: 2 }, seed: { seed: 7 }, stop: { stop: 'END' }, topK: { top_k: 5 }, penalties: sampling,
      continueLast: { messages: begun },
    },
  },
  'OpenAI completions': {
    read: readOpenAICompletionsRequest, least: { model: 'm', prompt: 'hi' },
    asks: { stream: { stream: true }, logprobs: { logprobs: 2 }, seed: { seed: 7 }, stop: { stop: 'END' }, penalties: sampling },
  },
  'OpenAI responses': {
    read: readOpenAIResponsesRequest, least: { model: 'm', input: 'hi', store: false }, asks: {
      stream: { stream: true }, tools: { tools: [{ type: 'function', name: 'look', parameters: schema }] },
      toolChoice: { tools: [{ type: 'function', name: 'look', parameters: schema }], tool_choice: { type: 'function', name: 'look' } },
      oneToolCall: { tools: [{ type: 'function', name: 'look', parameters: schema }], parallel_tool_calls: false },
      images: { input: [{ role: 'user', content: [{ type: 'input_image', image_url: uri }] }] },
      jsonObject: { text: { format: { type: 'json_object' } } }, jsonSchema: { text: { format: { type: 'json_schema', name: 'x', schema } } },
      reasoning: { reasoning: { effort: 'high' } }, logprobs: { include: ['message.output_text.logprobs'], top_logprobs: 2 }, stop: { stop: 'END' },
    },
  },
  'Anthropic messages': {
    read: readAnthropicRequest, least: { model: 'm', max_tokens: 9, messages: [user] }, asks: {
      stream: { stream: true }, tools: { tools: [{ name: 'look', input_schema: schema }] },
      toolChoice: { tools: [{ name: 'look', input_schema: schema }], tool_choice: { type: 'tool', name: 'look' } },
      oneToolCall: { tools: [{ name: 'look', input_schema: schema }], tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
      images: { messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }] }] },
      jsonSchema: { output_config: { format: { type: 'json_schema', schema } } }, reasoning: { thinking: { type: 'enabled', budget_tokens: 2_000 } },
      stop: { stop_sequences: ['END'] }, topK: { top_k: 5 }, continueLast: { messages: begun },
    },
  },
  'Ollama chat': {
    read: readOllamaChat, least: { model: 'm', messages: [user], stream: false }, asks: {
      stream: { stream: true }, tools: { tools: [openaiTool] }, images: { messages: [{ ...user, images: [PNG] }] }, jsonObject: { format: 'json' }, jsonSchema: { format: schema },
      reasoning: { think: 'high' }, logprobs: { logprobs: true, top_logprobs: 2 }, seed: { options: { seed: 7 } }, stop: { options: { stop: ['END'] } }, topK: { options: { top_k: 5 } },
      penalties: { options: sampling }, continueLast: { messages: begun },
    },
  },
  'Ollama generate': {
    read: readOllamaGenerate, least: { model: 'm', prompt: 'hi', stream: false }, asks: {
      stream: { stream: true }, images: { images: [PNG] }, jsonObject: { format: 'json' }, jsonSchema: { format: schema }, reasoning: { think: 'high' },
      logprobs: { logprobs: true, top_logprobs: 2 }, seed: { options: { seed: 7 } }, stop: { options: { stop: ['END'] } }, topK: { options: { top_k: 5 } }, penalties: { options: sampling },
    },
  },
}

describe('features', () => {
  it('stand in docs/bridge.md as they are declared; `npm run features` writes them', () => {
    const page = textOf('docs/bridge.md')
    expect(withFeatureTable(page)).to.equal(page)
  })

  for (const [name, { read, least, asks }] of Object.entries(dialects)) {
    it(`that ${name} declares can be asked for, and no others`, () => {
      const declared = dialectFeatures[name]!
      for (const feature of features) {
        if (feature === 'embeddings') continue
        const ask = asks[feature]
        expect(declared[feature] === 'no', `${feature} is declared as ${declared[feature]}`).to.equal(ask === undefined)
        const { completion, stream } = read({ ...least, ...ask })
        expect(shows[feature](completion!, stream), feature).to.equal(ask !== undefined)
      }
    })
  }

  it('that a dialect or an engine lacks are lacking in their product', () => {
    expect([cellOf('yes', 'yes'), cellOf('yes', 'model'), cellOf('mapped', 'model'), cellOf('yes', 'mapped'), cellOf('no', 'yes'), cellOf('mapped', 'no')])
      .to.deep.equal(['yes', 'yes°', 'mapped°', 'mapped', 'no', 'no'])
  })
})
