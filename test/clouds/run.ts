/**
 * `npm run test:clouds`: the cases of test/support/vendors/cases.ts against the vendors themselves, for each whose key is
 * in the environment. It costs less than a cent a vendor. `-- --list` tells what would run; names of vendors bound it.
 */
import { parseArgs } from 'node:util'
import { cloudAccessFromEnv } from '../../providers/cloud/access-from-env.ts'
import { createCloudProvider } from '../../providers/cloud/cloud-provider.ts'
import { vendors } from '../../providers/cloud/vendors.ts'
import { createClock, createRandom } from '../../bootstrap/system.ts'
import { quietLog } from '../support/quiet-log.ts'
import { cloudCases } from '../support/vendors/cases.ts'

/** Cheap models with tools; TRIFORCE_TEST_MODEL_OPENAI and so on name others, in the vendor's own words. */
const MODELS: Readonly<Record<string, string>> = {
  openai: 'gpt-4o-mini', anthropic: 'claude-haiku-4-5', gemini: 'gemini-2.5-flash', groq: 'llama-3.3-70b-versatile', cerebras: 'gpt-oss-120b', mistral: 'mistral-small-latest',
  together: 'meta-llama/Llama-3.3-70B-Instruct-Turbo', openrouter: 'openai/gpt-4o-mini', deepseek: 'deepseek-chat', xai: 'grok-3-mini',
}
const CASE_MS_MAX = 120_000

const { values, positionals } = parseArgs({ options: { list: { type: 'boolean', default: false } }, allowPositionals: true })
const unknown = positionals.filter((name) => !vendors.some(({ id }) => id === name))
if (unknown.length > 0) {
  console.error(`no vendor is called ${unknown.join(', ')}; there are ${vendors.map(({ id }) => id).join(', ')}`)
  process.exit(2)
}
const access = cloudAccessFromEnv(process.env)
let ran = 0
let failed = 0
for (const vendor of vendors) {
  if (positionals.length > 0 && !positionals.includes(vendor.id)) continue
  const own = access.find((one) => one.vendor === vendor.id)
  const model = `${vendor.id}/${process.env[`TRIFORCE_TEST_MODEL_${vendor.id.toUpperCase()}`] ?? MODELS[vendor.id]}`
  if (own === undefined) console.log(`${vendor.id}: skipped, ${vendor.keyEnv.join(' or ')} is not set${values.list ? `; with it ${cloudCases.length} cases with ${model}` : ''}`)
  else if (values.list) console.log(`${vendor.id}: ${model} at ${own.baseUrl ?? vendor.baseUrl}\n${cloudCases.map(({ name }) => `  ${name}`).join('\n')}`)
  else await runVendor(vendor, own, model)
}
if (!values.list) console.log(ran === 0 ? 'nothing ran: no key of a vendor is in the environment' : `${ran - failed} of ${ran} cases passed`)
process.exitCode = failed === 0 ? 0 : 1

async function runVendor(vendor: (typeof vendors)[number], own: (typeof access)[number], model: string): Promise<void> {
  const provider = createCloudProvider({ clock: createClock(), random: createRandom(), log: quietLog('clouds') }, { vendor, key: own.key, baseUrl: own.baseUrl, transport: { firstByteMsMax: CASE_MS_MAX, idleMsMax: CASE_MS_MAX } })
  await provider.start()
  console.log(`${vendor.id}: ${model}`)
  for (const { name, needs, applies, run } of cloudCases) {
    if (applies?.(provider, model) === false || (needs === 'embeddings' && provider.embed === undefined)) {
      console.log(`  -  ${name}: it cannot`)
      continue
    }
    ran += 1
    const begun = performance.now()
    try {
      await run(provider, model)
      console.log(`  ok ${name} (${Math.round(performance.now() - begun)} ms)`)
    } catch (error) {
      failed += 1
      console.log(`  FAILED ${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  await provider.close()
}
