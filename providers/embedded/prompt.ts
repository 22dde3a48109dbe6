/**
 * A conversation as the tokens a model was trained on. Text of users is tokenized as plain text, so a special token
 * that somebody types stays text and cannot open another role.
 */
import type { ChatHistoryItem, ChatWrapper, LlamaModel, Token } from 'node-llama-cpp'
import { textOf, type ChatMessage, type CompletionRequest } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { begunText } from './resume.ts'

export interface Prompt {
  readonly tokens: Token[]
  /** Tokens that end the answer besides the model's own end-of-generation tokens. */
  readonly stopTokens: ReadonlySet<Token>
  /** Text that ends the answer: the chat format's own triggers. */
  readonly stopTexts: readonly string[]
}

export function renderPrompt(model: LlamaModel, wrapper: ChatWrapper, request: CompletionRequest): Prompt {
  const last = request.messages.at(-1)
  // What another host has begun of the answer is no part of the prompt (resume.ts).
  const prefill = request.continueLast && last?.role === 'assistant' ? textOf(last).slice(0, textOf(last).length - begunText(request).length) : undefined
  const messages = prefill === undefined ? request.messages : request.messages.slice(0, -1)
  const chatHistory: ChatHistoryItem[] = [...messages.map(historyItem), { type: 'model', response: [] }]
  const { contextText, stopGenerationTriggers } = wrapper.generateContextState({ chatHistory })
  const tokens = contextText.tokenize(model.tokenizer)
  // The prefill is tokenized on its own: that way the tokens before it are those of the first run, and its own tokens
  // are the ones the model gave, as far as its text tells them.
  if (prefill !== undefined && prefill !== '') tokens.push(...model.tokenize(prefill, false, 'trimLeadingSpace'))

  const stopTokens = new Set<Token>()
  const stopTexts: string[] = []
  for (const trigger of stopGenerationTriggers) {
    const triggerTokens = trigger.tokenize(model.tokenizer)
    const [only] = triggerTokens
    if (triggerTokens.length === 1 && only !== undefined && model.isSpecialToken(only)) stopTokens.add(only)
    else if (trigger.values.every((value) => typeof value === 'string')) stopTexts.push(trigger.values.join(''))
  }
  return { tokens, stopTokens, stopTexts: stopTexts.filter((text) => text !== '') }
}

/** Throws CAPABILITY_MISSING for what this engine has no form for: its models do not offer it, so no hub sends it here. */
function historyItem(message: ChatMessage): ChatHistoryItem {
  const { role, content } = message
  const text = textOf(message)
  if (role === 'assistant' && message.toolCalls === undefined) return { type: 'model', response: [text] }
  if (role === 'system' || role === 'user') {
    if (typeof content === 'string' || content.every(({ type }) => type === 'text')) return { type: role, text }
  }
  throw new TriforceError('CAPABILITY_MISSING', {}, { detail: 'this engine reads no images and no tool calls' })
}
