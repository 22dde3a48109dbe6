/** Checks of what HTTP clients send, with errors that name the field. */
import type { z } from 'zod'
import { TriforceError } from '../../protocol/errors.ts'

/** Throws BAD_REQUEST for the first problem. Values are never repeated in the message: they may be prompts. `path` is that of `value` in the body. */
export function checkBody<Schema extends z.ZodType>(schema: Schema, value: unknown, path = ''): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const param = fieldPath(issue?.path ?? [], path)
  if (issue?.code === 'unrecognized_keys') throw invalid(fieldPath([issue.keys[0]?.slice(0, 64) ?? ''], param), 'is not known here')
  if (param === '') throw new TriforceError('BAD_REQUEST', {}, { detail: 'the body must be a JSON object' })
  throw invalid(param, issue === undefined ? 'is not valid' : problemOf(issue))
}

export function invalid(param: string, problem: string): TriforceError {
  return new TriforceError('BAD_REQUEST', { param }, { detail: `${param}: ${problem}` })
}

export function unsupported(param: string, problem: string): TriforceError {
  return new TriforceError('BAD_REQUEST', { param, unsupported: true }, { detail: `${param}: ${problem}` })
}

/** The checker's own words are for its programmers; a schema's own `error` stays as it is. */
function problemOf(issue: z.core.$ZodIssue): string {
  if (issue.message.endsWith('received undefined')) return 'is missing'
  if (issue.message.startsWith('Too small') && issue.code === 'too_small') return `must ${limitOf(issue.origin, 'at least', issue.minimum)}`
  if (issue.message.startsWith('Too big') && issue.code === 'too_big') return `must ${limitOf(issue.origin, 'at most', issue.maximum)}`
  return issue.message.replace(/^Invalid input: expected/, 'expected')
}

function limitOf(origin: string, which: string, bound: number | bigint): string {
  const unit = origin === 'string' ? ' characters' : origin === 'array' ? ' items' : ''
  return unit === '' ? `be ${which} ${bound}` : `have ${which} ${bound}${unit}`
}

/** `['messages', 0, 'content']` → `messages[0].content`. */
function fieldPath(path: readonly PropertyKey[], start: string): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, start)
}
