/** The bare HTTP server of the jobs bench: the same framework, a body parsed, an answer of the same size, and nothing else. */
import fastify from 'fastify'

const server = fastify()
const answer = (model: string, content: string) => ({
  id: 'chatcmpl-00000000000000000000000000000000', object: 'chat.completion', created: 0, model,
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop', logprobs: null }],
  usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  triforce: { host: 'x'.repeat(52), host_name: 'contributor1', hub: 'hub1', receipt: `rcpt_${'0'.repeat(32)}`, durability: 'replicated', cost_micro_credits: '0', attempts: 1 },
})
server.post('/v1/chat/completions', async (request) => answer((request.body as { model: string }).model, 't0 t1 '))
await server.listen({ host: '127.0.0.1', port: 0 })
const address = server.server.address()
process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0 })}\n`)
