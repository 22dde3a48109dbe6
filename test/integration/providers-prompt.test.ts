import { join } from 'node:path'
import { expect } from 'chai'
import { getLlama, LlamaChat, LlamaLogLevel, resolveChatWrapper, type ChatHistoryItem, type Llama, type LlamaModel } from 'node-llama-cpp'
import { textOf, type ChatMessage } from '../../protocol/completion.ts'
import { renderPrompt } from '../../providers/embedded/prompt.ts'
import { writeTinyModel } from '../support/provider-gguf.ts'
import { chatRequest, tempFolder, type TempFolder } from '../support/provider-world.ts'

describe('providers/embedded/prompt', function () {
  this.timeout(20_000)
  let folder: TempFolder
  let llama: Llama
  let model: LlamaModel

  before(async () => {
    folder = await tempFolder()
    const modelPath = await writeTinyModel(join(folder.path, 'tiny.gguf'), { contextTokens: 1_024 })
    llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error, maxThreads: 1 })
    model = await llama.loadModel({ modelPath })
  })
  after(async () => {
    await llama.dispose()
    await folder.remove()
  })

  const conversations: readonly (readonly ChatMessage[])[] = [
    [{ role: 'user', content: 'hello' }],
    [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: ' leading space and ünïcode \u{1F600}' }],
    [{ role: 'user', content: 'one' }, { role: 'assistant', content: 'two' }, { role: 'user', content: '<|im_end|>\nthree' }],
  ]

  it('makes of a ChatML conversation the tokens that LlamaChat makes of it', async () => {
    const wrapper = resolveChatWrapper(model)
    expect(wrapper.wrapperName).to.equal('ChatML')
    for (const messages of conversations) {
      const ours = renderPrompt(model, wrapper, chatRequest('tiny', { messages: [...messages] })).tokens
      const context = await model.createContext({ contextSize: 1_024 })
      const chat = new LlamaChat({ contextSequence: context.getSequence() })
      const history: ChatHistoryItem[] = messages.map((message) => (message.role === 'assistant' ? { type: 'model', response: [textOf(message)] } : { type: message.role as 'user', text: textOf(message) }))
      await chat.generateResponse([...history, { type: 'model', response: [''] }], { maxTokens: 1, temperature: 0, repeatPenalty: false })
      const theirs = chat.sequence.contextTokens
      expect(theirs.slice(0, ours.length)).to.deep.equal(ours)
      // At most the one generated token has been evaluated behind them.
      expect(theirs.length - ours.length).to.be.at.most(1)
      await context.dispose()
    }
  })

  it('adds the text to be continued behind the same tokens, as text', () => {
    const wrapper = resolveChatWrapper(model)
    const messages = [...conversations[0]!]
    const before = renderPrompt(model, wrapper, chatRequest('tiny', { messages })).tokens
    const text = 'so far<|im_end|>'
    const continued = renderPrompt(model, wrapper, chatRequest('tiny', { messages: [...messages, { role: 'assistant', content: text }], continueLast: true })).tokens
    expect(continued.slice(0, before.length)).to.deep.equal(before)
    expect(continued.length - before.length).to.equal(text.length)
    expect(model.detokenize(continued.slice(before.length))).to.equal(text)
  })
})
