/**
 * A state as one text: equal states give equal texts, whatever order they came to be in. For tests, the audit and the
 * simulator; the state tree of checkpoints has its own form.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { LedgerState } from './state.ts'

/** One line for each map entry of the state; sorted. Which accounts were touched lately is left out: that is not part of the fold. */
export function dumpState(state: LedgerState): string {
  const lines: string[] = []
  for (const [field, value] of Object.entries(state) as [string, unknown][]) {
    if (field === 'touched' || field === 'recent') continue
    if (value instanceof Map) for (const [key, item] of value as Map<unknown, unknown>) lines.push(`${field} ${String(key)} ${text(item)}`)
    else lines.push(`${field} ${text(value)}`)
  }
  return lines.sort().join('\n')
}

function text(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Uint8Array) return toHex(value)
  if (value instanceof Map) return `{${[...value as Map<unknown, unknown>].map(([key, item]) => `${text(key)}:${text(item)}`).sort().join(',')}}`
  if (value instanceof Set) return `(${[...value as Set<unknown>].map(text).sort().join(',')})`
  if (Array.isArray(value)) return `[${value.map(text).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value).filter(([, item]) => item !== undefined).map(([key, item]) => `${key}:${text(item)}`).sort().join(',')}}`
  }
  return JSON.stringify(value) ?? 'undefined'
}
