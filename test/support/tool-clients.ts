/** The three official clients in two turns with tools, so that one test can be told to all. */
import Anthropic from '@anthropic-ai/sdk'
import { expect } from 'chai'
import { Ollama } from 'ollama'
import OpenAI from 'openai'

export interface ToolAnswer {
  readonly text: string
  readonly calls: readonly { readonly id: string; readonly name: string; readonly input: unknown }[]
  readonly usage: { readonly prompt: number; readonly completion: number }
}

export interface ToolClient {
  first(model: string, stream: boolean): Promise<ToolAnswer>
  /** Sends both calls back, the second one's result first. */
  second(model: string, stream: boolean, answer: ToolAnswer): Promise<ToolAnswer>
}

const parameters = { type: 'object' as const, properties: { city: { type: 'string' } } }
const question = 'How is the weather in Paris and Rome?'
/** By name; `key` is an API key of the bridge at `url`. */
export const toolClients: Readonly<Record<string, (url: string, key: string) => ToolClient>> = {
  openai(url, key) {
    const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 })
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }]
    const ask = async (model: string, stream: boolean, messages: OpenAI.ChatCompletionMessageParam[]): Promise<ToolAnswer> => {
      const answer = stream ? await client.chat.completions.stream({ model, messages, tools, stream_options: { include_usage: true } }).finalChatCompletion()
        : await client.chat.completions.create({ model, messages, tools })
      const message = answer.choices[0]!.message
      const calls = (message.tool_calls ?? []).map((call) => {
        if (call.type !== 'function') throw new Error('a call of another type')
        return { id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments) as unknown }
      })
      expect(answer.choices[0]!.finish_reason).to.equal(calls.length > 0 ? 'tool_calls' : 'stop')
      return { text: message.content ?? '', calls, usage: { prompt: answer.usage!.prompt_tokens, completion: answer.usage!.completion_tokens } }
    }
    return {
      first: (model, stream) => ask(model, stream, [{ role: 'user', content: question }]),
      second: (model, stream, { text, calls }) => ask(model, stream, [
        { role: 'user', content: question },
        { role: 'assistant', content: text, tool_calls: calls.map(({ id, name, input }) => ({ id, type: 'function', function: { name, arguments: JSON.stringify(input) } })) },
        { role: 'tool', tool_call_id: calls[1]!.id, content: 'sun' }, { role: 'tool', tool_call_id: calls[0]!.id, content: 'rain' },
      ]),
    }
  },

  anthropic(url, key) {
    const client = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 })
    const tools = [{ name: 'weather', input_schema: parameters }]
    const ask = async (model: string, stream: boolean, messages: Anthropic.MessageParam[]): Promise<ToolAnswer> => {
      const body = { model, messages, tools, max_tokens: 100 }
      const { content, usage, stop_reason: reason } = stream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body)
      const calls = content.flatMap((block) => block.type === 'tool_use' ? [{ id: block.id, name: block.name, input: block.input }] : [])
      expect(reason).to.equal(calls.length > 0 ? 'tool_use' : 'end_turn')
      return {
        text: content.map((block) => block.type === 'text' ? block.text : '').join(''), calls,
        usage: { prompt: usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0), completion: usage.output_tokens },
      }
    }
    return {
      first: (model, stream) => ask(model, stream, [{ role: 'user', content: question }]),
      second: (model, stream, { text, calls }) => ask(model, stream, [
        { role: 'user', content: question },
        { role: 'assistant', content: [{ type: 'text', text }, ...calls.map(({ id, name, input }) => ({ type: 'tool_use' as const, id, name, input }))] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: calls[1]!.id, content: 'sun' }, { type: 'tool_result', tool_use_id: calls[0]!.id, content: 'rain' }] },
      ]),
    }
  },

  ollama(url, key) {
    const client = new Ollama({ host: url, headers: { authorization: `Bearer ${key}` } })
    const tools = [{ type: 'function', function: { name: 'weather', parameters } }]
    type Message = NonNullable<Parameters<typeof client.chat>[0]['messages']>[number]
    const ask = async (model: string, stream: boolean, messages: Message[]): Promise<ToolAnswer> => {
      const frames = []
      if (stream) for await (const frame of await client.chat({ model, messages, tools, stream: true })) frames.push(frame)
      else frames.push(await client.chat({ model, messages, tools }))
      const last = frames.at(-1)!
      return {
        text: frames.map(({ message }) => message.content).join(''),
        // Not in the client's types yet.
        calls: frames.flatMap(({ message }) => message.tool_calls ?? []).map((call) => ({ id: (call as unknown as { id: string }).id, name: call.function.name, input: call.function.arguments })),
        usage: { prompt: last.prompt_eval_count, completion: last.eval_count },
      }
    }
    return {
      first: (model, stream) => ask(model, stream, [{ role: 'user', content: question }]),
      second: (model, stream, { text, calls }) => ask(model, stream, [
        { role: 'user', content: question },
        { role: 'assistant', content: text, tool_calls: calls.map(({ id, name, input }) => ({ id, function: { name, arguments: input as Record<string, unknown> } })) },
        ...[['sun', calls[1]!.id], ['rain', calls[0]!.id]].map(([content, id]) => ({ role: 'tool', content: content!, tool_call_id: id! })),
      ]),
    }
  },
}
