/**
 * Tables of the rules as JSON: amounts of money are decimal text there, since a JSON number cannot hold all of them, and
 * bigints in the ledger. What a table must look like is checked by the ledger.
 */
import { invalid } from './request-check.ts'

/** `promptMicroCredits`, `cpuMicroCreditsPerHour`, `microCredits`. */
const MONEY_FIELD = /microcredits/i
const MONEY_FORM = /^\d{1,19}$/

/** Tables have rows of plain fields; nothing deeper is one. */
const DEPTH_MAX = 6

/** Bigints become decimal text. */
export function tableToJson(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map(tableToJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, tableToJson(part)]))
}

/** Decimal text in fields of money becomes a bigint. Throws BAD_REQUEST where such a field holds something else. */
export function tableFromJson(value: unknown, path = 'content', depth = 0): unknown {
  if (depth > DEPTH_MAX) throw invalid(path, 'is nested too deeply for a table')
  if (Array.isArray(value)) return value.map((part, index) => tableFromJson(part, `${path}[${index}]`, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]: [string, unknown]) => {
    const field = `${path}.${name}`
    if (!MONEY_FIELD.test(name)) return [name, tableFromJson(part, field, depth + 1)]
    if (typeof part !== 'string' || !MONEY_FORM.test(part)) throw invalid(field, 'must be microcredits as decimal text, such as "1000000" for one credit')
    return [name, BigInt(part)]
  }))
}
