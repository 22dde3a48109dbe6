import { expect } from 'chai'
import { resolveCloudModels } from '../../../../providers/cloud/resolve.ts'

const models = [
  'openai/gpt-4o', 'openai/gpt-4o-2024-11-20', 'openai/gpt-4o-mini', 'openai/gpt-4-turbo-2024-04-09',
  'anthropic/claude-3-5-sonnet-20241022', 'anthropic/claude-sonnet-4-20250514', 'anthropic/claude-sonnet-4-5-20250929', 'anthropic/claude-3-7-sonnet-20250219',
  'anthropic/claude-opus-4-20250514', 'anthropic/claude-opus-4-1-20250805', 'anthropic/claude-3-opus-20240229',
  'gemini/gemini-2.0-flash', 'gemini/gemini-2.5-flash', 'gemini/gemini-2.5-flash-lite', 'gemini/gemini-2.5-pro', 'gemini/gemini-3-pro-preview',
  'mistral/mistral-small-2506', 'mistral/mistral-small-latest', 'mistral/mistral-large-2411', 'mistral/mistral-large-2407',
  'groq/llama-3.3-70b', 'together/llama-3.3-70b', 'openrouter/openai/gpt-4o',
].map((id) => ({ id }))

describe('providers/cloud/resolve', () => {
  for (const [asked, meant] of [
    ['openai/gpt-4o', ['openai/gpt-4o']],
    // The price table's names.
    ['gpt-4o', ['openai/gpt-4o']], ['gpt-4-turbo', ['openai/gpt-4-turbo-2024-04-09']],
    ['claude-sonnet', ['anthropic/claude-sonnet-4-5-20250929']], ['claude-opus', ['anthropic/claude-opus-4-1-20250805']],
    ['gemini-flash', ['gemini/gemini-2.5-flash']], ['gemini-pro', ['gemini/gemini-2.5-pro']],
    ['mistral-small', ['mistral/mistral-small-latest']], ['mistral-large', ['mistral/mistral-large-2411']],
    // A vendor's own id, at each vendor that has it.
    ['llama-3.3-70b', ['groq/llama-3.3-70b', 'together/llama-3.3-70b']], ['openai/gpt-4o-mini', ['openai/gpt-4o-mini']], ['gpt-4o-mini', ['openai/gpt-4o-mini']],
    ['claude-3-opus-20240229', ['anthropic/claude-3-opus-20240229']],
    ['nothing', []], ['', []], ['constructor', []], ['__proto__', []],
  ] as const) {
    it(`takes "${asked}" for ${meant.length === 0 ? 'nothing' : meant.join(' and ')}`, () => {
      expect(resolveCloudModels(asked, models)).to.deep.equal(meant)
    })
  }

  it('does not depend on the order in which a vendor lists its models', () => {
    for (const asked of ['claude-sonnet', 'claude-opus', 'gemini-flash', 'mistral-small', 'gpt-4-turbo']) {
      expect(resolveCloudModels(asked, models.toReversed()), asked).to.deep.equal(resolveCloudModels(asked, models))
    }
  })

  it('finds no alias where its vendor is not there', () => {
    expect(resolveCloudModels('claude-sonnet', [{ id: 'openai/gpt-4o' }])).to.deep.equal([])
  })
})
