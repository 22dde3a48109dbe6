/** What the tests with real clients share: events of richer answers, and looks at what a client threw. */
import type { CompletionEvent } from '../../node/gateway.ts'
import type { DetailedUsage, GoodFinish } from '../../protocol/completion.ts'
import { TriforceError, type ErrorCode } from '../../protocol/errors.ts'
import type { ScriptedRun } from './bridge-gateway.ts'
import type { TestBridge } from './bridge-server.ts'

export const reasoningEvent = (text: string, fields: { signature?: string; redacted?: true } = {}): CompletionEvent => ({ type: 'reasoning', text, tokens: 1, ...fields })

export const toolEvent = (index: number, json: string, begin?: { id: string; name: string }): CompletionEvent =>
  ({ type: 'toolCall', index, arguments: json, tokens: 1, ...begin })

export const endEvent = (finish: GoodFinish, usage: DetailedUsage = { promptTokens: 7, completionTokens: 3 }): CompletionEvent => ({ type: 'finish', finish, usage })

/** The smallest PNG, in base64. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

/** Clients send their request only when somebody asks for the answer. */
export async function started(asked: PromiseLike<unknown>, test: TestBridge): Promise<ScriptedRun> {
  void asked.then(() => undefined, () => undefined)
  return test.gateway.nextRun()
}

export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function errorOf(promise: PromiseLike<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('did not fail')
}

// oxlint-disable-next-line require-yield
export async function* failing(code: ErrorCode): AsyncIterable<never> {
  throw new TriforceError(code)
}
