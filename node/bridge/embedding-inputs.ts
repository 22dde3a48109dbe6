/** The texts of an embedding in a body, in every dialect: one or several. */
import { z } from 'zod'
import { TriforceError } from '../../protocol/errors.ts'
import { MESSAGES_MAX, PROMPT_CHARS_MAX } from '../../protocol/limits.ts'
import { invalid, unsupported } from './request-check.ts'

export const inputsField = z.union([z.string(), z.array(z.unknown()).min(1).max(MESSAGES_MAX)], { error: `must be a text or a list of up to ${MESSAGES_MAX} texts` })
  .meta({ anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] })

export const dimensionsField = z.number().int().min(1).max(65_536)

/** Throws BAD_REQUEST that names the input, or CONTEXT_LENGTH_EXCEEDED. */
export function readInputs(input: z.output<typeof inputsField>): string[] {
  const inputs = (typeof input === 'string' ? [input] : input).map((one, index) => {
    const path = typeof input === 'string' ? 'input' : `input[${index}]`
    if (typeof one !== 'string') throw unsupported(path, 'must be a text; tokens as numbers mean something else for every model')
    if (one === '') throw invalid(path, 'must not be empty')
    return one.toWellFormed()
  })
  const chars = inputs.reduce((sum, one) => sum + one.length, 0)
  if (chars > PROMPT_CHARS_MAX) {
    throw new TriforceError('CONTEXT_LENGTH_EXCEEDED', { param: 'input' }, { detail: `the inputs have ${chars} characters together; ${PROMPT_CHARS_MAX} are the most` })
  }
  return inputs
}
