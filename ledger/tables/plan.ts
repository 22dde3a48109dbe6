/** Revision 0 of the tables: the owner's plan, number by number. */
import { MICRO_CREDITS_PER_CREDIT } from '../../protocol/units.ts'
import type { HardwareRow, Pack, PriceRow, Tables, TierRow } from './tables.ts'

const credits = (amount: number) => BigInt(amount) * MICRO_CREDITS_PER_CREDIT

/** The plan has one price for 1,000 tokens, whether read or written. */
function price(row: string, creditsPer1k: number, provider: string | readonly string[], ...models: readonly string[]): PriceRow {
  const microCredits = credits(creditsPer1k)
  return {
    row, providers: typeof provider === 'string' ? [provider] : [...provider], models: [...models],
    promptMicroCredits: microCredits, completionMicroCredits: microCredits,
  }
}

const prices: readonly PriceRow[] = [
  price('local', 0, ['local', 'ollama', 'embedded'], '*'),
  price('groq', 1, 'groq', '*'),
  price('cerebras', 1, 'cerebras', '*'),
  price('mistral-small', 2, 'mistral', 'mistral-small*'),
  price('gemini-flash', 2, 'gemini', 'gemini-*flash*'),
  price('mistral-large', 5, 'mistral', 'mistral-large*'),
  price('gemini-pro', 5, 'gemini', 'gemini-*pro*'),
  price('claude-sonnet', 10, 'anthropic', 'claude-*sonnet*'),
  price('gpt-4o', 10, 'openai', 'gpt-4o', 'gpt-4o-20*', 'chatgpt-4o-latest'),
  price('claude-opus', 25, 'anthropic', 'claude-*opus*'),
  price('gpt-4-turbo', 15, 'openai', 'gpt-4-turbo*'),
  price('unlisted', 25, 'unlisted', '*'),
]

const packs: readonly Pack[] = [
  { product: 'pack-5', euroCents: 500, microCredits: credits(500) },
  { product: 'pack-20', euroCents: 2_000, microCredits: credits(2_500) },
  { product: 'pack-50', euroCents: 5_000, microCredits: credits(7_500) },
]

const tiers: readonly TierRow[] = [
  { tier: 'free', tokensPerDay: 10_000, earnFactor: 1, priority: 3, requestsPerMinute: 20, concurrentMax: 4, euroCentsPerMonth: 0 },
  { tier: 'contributor', tokensPerDay: 10_000, earnFactor: 1, priority: 2, requestsPerMinute: 60, concurrentMax: 8, euroCentsPerMonth: 0 },
  { tier: 'pro', tokensPerDay: 250_000, earnFactor: 1, priority: 1, requestsPerMinute: 300, concurrentMax: 32, euroCentsPerMonth: 1_799 },
  { tier: 'unlimited', tokensPerDay: null, earnFactor: 2, priority: 0, requestsPerMinute: null, concurrentMax: 1_024, euroCentsPerMonth: 5_999 },
  { tier: 'enterprise', tokensPerDay: null, earnFactor: 1, priority: 1, requestsPerMinute: null, concurrentMax: 1_024, euroCentsPerMonth: null },
]

function hardware(name: string, memoryGib: number, creditsPerHour: number, ...names: readonly string[]): HardwareRow {
  return { class: name, names: [...names], memoryGib, unified: false, tokensPerSecond: null, microCreditsPerHour: credits(creditsPerHour) }
}

const classes: readonly HardwareRow[] = [
  hardware('rtx-3060', 12, 10, '*rtx 3060*'),
  hardware('rtx-3080', 10, 15, '*rtx 3080*'),
  hardware('rtx-4080', 16, 25, '*rtx 4080*'),
  hardware('rtx-4090', 24, 40, '*rtx 4090*'),
  hardware('a100-40', 40, 100, '*a100*'),
  hardware('a100-80', 80, 150, '*a100*'),
  // A Mac gives three quarters of its memory to the graphics processor: of 64 GB at least, and of 36 GB at least.
  { ...hardware('mac-m2-ultra', 48, 30, '*m2 ultra*'), unified: true },
  { ...hardware('mac-m3-max', 27, 35, '*m3 max*'), unified: true },
]

export const plan: Tables = {
  prices: { rows: [...prices], unlisted: 'unlisted', packs: [...packs] },
  tiers: { rows: [...tiers] },
  hardware: { rows: [...classes], cpuMicroCreditsPerHour: credits(1), memoryGibMin: 8, standbyPercent: 30 },
}
