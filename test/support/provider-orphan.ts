/** Started by a test as a process of its own: runs a model without an end and tells the engine's process id on stdout. */
import { chatRequest, realEmbedded } from './provider-world.ts'

const [path = '', model = ''] = process.argv.slice(2)
const provider = await realEmbedded({ models: [{ path, keepLoaded: true }] })
let told = false
for await (const event of provider.run(chatRequest(model, { temperature: 0 }), { signal: new AbortController().signal })) {
  if (event.type !== 'text' || told) continue
  told = true
  process.stdout.write(`${provider.enginePid()}\n`)
  // Nothing is taken any more; the engine stays in the middle of its answer.
  await new Promise(() => { setInterval(() => undefined, 1_000) })
}
