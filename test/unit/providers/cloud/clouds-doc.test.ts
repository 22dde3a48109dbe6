import { expect } from 'chai'
import { keepsPrompts, type Setting } from '../../../../providers/cloud/vendor.ts'
import { supports } from '../../../../providers/cloud/refusals.ts'
import { vendors } from '../../../../providers/cloud/vendors.ts'
import { tableRows } from '../../../support/markdown-table.ts'
import { textOf } from '../../../support/source-files.ts'

const rows = tableRows(textOf('docs/clouds.md'))
const yes = (is: boolean) => is ? 'yes' : 'no'

const settings: Readonly<Record<Setting, string>> = {
  temperature: 'temperature', topP: 'top_p', topK: 'top_k', frequencyPenalty: 'frequency_penalty', presencePenalty: 'presence_penalty', seed: 'seed', stop: 'stop', logprobs: 'logprobs',
  parallelToolCalls: 'parallel_tool_calls: false', reasoning: 'reasoning_effort', jsonObject: 'JSON', jsonSchema: 'JSON with a schema', continueLast: 'assistant message last',
}

describe('docs/clouds.md', () => {
  it('lists each vendor as its record says', () => {
    expect(rows.filter(([id]) => vendors.some((vendor) => vendor.id === id))).to.deep.equal(vendors.map((vendor) => [
      vendor.id, vendor.name, vendor.family, vendor.keyEnv.join(', '), vendor.baseUrlEnv, vendor.baseUrl, yes(vendor.billsAborted), yes(keepsPrompts(vendor)),
      yes(vendor.family === 'openai' && vendor.openai.embeddings !== undefined),
    ]))
  })

  it('lists for each setting which vendors take it', () => {
    const expected = (Object.keys(settings) as Setting[]).map((setting) => [settings[setting], ...vendors.map((vendor) => ({ 'yes': 'yes', 'no': 'no', 'some models': 'some' })[supports(vendor, setting)])])
    expect(rows.filter(([name]) => Object.values(settings).includes(name!))).to.deep.equal(expected)
  })
})
