/**
 * What a model id means among the models of clouds: a whole id (`openai/gpt-4o`), a vendor's own id without the vendor
 * (`gpt-4o`), or an alias of the price table (`claude-sonnet`), which is the newest model of its kind.
 */
import type { CloudModel } from '../interface.ts'

/** Names of the price table (ledger/tables/plan.ts) that are no ids at their vendors, and what they stand for. */
export const cloudAliases: Readonly<Record<string, { readonly vendor: string; readonly models: RegExp }>> = {
  'claude-sonnet': { vendor: 'anthropic', models: /^claude-.*sonnet/ },
  'claude-opus': { vendor: 'anthropic', models: /^claude-.*opus/ },
  'claude-haiku': { vendor: 'anthropic', models: /^claude-.*haiku/ },
  'gpt-4o': { vendor: 'openai', models: /^gpt-4o(-20\d\d-\d\d-\d\d)?$/ },
  'gpt-4-turbo': { vendor: 'openai', models: /^gpt-4-turbo(-20\d\d-\d\d-\d\d)?$/ },
  'gemini-flash': { vendor: 'gemini', models: /^gemini-[\d.]+-flash(-\d+)?$/ },
  'gemini-pro': { vendor: 'gemini', models: /^gemini-[\d.]+-pro(-\d+)?$/ },
  'mistral-small': { vendor: 'mistral', models: /^mistral-small-/ },
  'mistral-large': { vendor: 'mistral', models: /^mistral-large-/ },
}

/**
 * Gives the ids that are meant, best first; of a bare id one for each vendor that has it, in the order of `models`.
 * Empty where nothing is meant.
 */
export function resolveCloudModels(asked: string, models: readonly Pick<CloudModel, 'id'>[]): readonly string[] {
  const whole = models.find(({ id }) => id === asked)
  if (whole !== undefined) return [whole.id]
  const alias = Object.hasOwn(cloudAliases, asked) ? cloudAliases[asked] : undefined
  if (alias !== undefined) {
    const exact = `${alias.vendor}/${asked}`
    if (models.some(({ id }) => id === exact)) return [exact]
    const own = models.flatMap(({ id }) => id.startsWith(`${alias.vendor}/`) ? [id.slice(alias.vendor.length + 1)] : []).filter((id) => alias.models.test(id))
    const newest = own.reduce<string | undefined>((best, id) => best === undefined || isNewer(id, best) ? id : best, undefined)
    if (newest !== undefined) return [`${alias.vendor}/${newest}`]
  }
  return models.flatMap(({ id }) => id.slice(id.indexOf('/') + 1) === asked ? [id] : [])
}

/** `-latest` first; then previews last; then by version, then by date. */
function isNewer(id: string, than: string): boolean {
  const [one, other] = [rankOf(id), rankOf(than)]
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const [left, right] = [one[at] ?? 0, other[at] ?? 0]
    if (left !== right) return left > right
  }
  return false
}

const VERSION_PARTS = 3

function rankOf(id: string): readonly number[] {
  const date = Number(/(?:^|[-@])(20\d{6})\b/.exec(id)?.[1] ?? /(20\d\d-\d\d-\d\d)/.exec(id)?.[1]?.replaceAll('-', '') ?? 0)
  const version = [...id.replaceAll(/20\d\d-?\d\d-?\d\d/g, '').matchAll(/\d+/g)].map(([digits]) => Number(digits)).slice(0, VERSION_PARTS)
  return [id.endsWith('-latest') ? 1 : 0, /preview|exp|beta/.test(id) ? 0 : 1, ...version, ...Array.from({ length: VERSION_PARTS - version.length }, () => 0), date]
}
