/** Runs inside a namespace and makes HTTP requests there, as a client on that machine would; `in-namespace.ts` asks it. */
import { chat, type ChatAsk } from '../support/chat-client.ts'

export type AgentAsk =
  | { readonly id: number; readonly chat: ChatAsk }
  | { readonly id: number; readonly get: string; readonly key: string }

process.on('message', (ask: AgentAsk) => {
  void answer(ask).then((result) => process.send?.({ id: ask.id, result }), (error: unknown) => process.send?.({ id: ask.id, error: String(error) }))
})
process.on('disconnect', () => process.exit())
process.send?.({ id: 0 })

async function answer(ask: AgentAsk): Promise<unknown> {
  if ('get' in ask) {
    const response = await fetch(ask.get, { headers: ask.key === '' ? {} : { authorization: `Bearer ${ask.key}` } })
    return { status: response.status, text: await response.text() }
  }
  const startMs = performance.now()
  let firstMs = 0
  const seen = await chat({ ...ask.chat, onText: () => { firstMs ||= performance.now() - startMs } })
  return { ...seen, firstMs, totalMs: performance.now() - startMs }
}
