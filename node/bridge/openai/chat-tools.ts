/** Tools of a chat completion, and which of them shall be called. */
import { z } from 'zod'
import type { Tool, ToolChoice } from '../../../protocol/completion.ts'
import { SCHEMA_BYTES_MAX, TOOLS_MAX } from '../../../protocol/limits.ts'
import { invalid, unsupported } from '../request-check.ts'
import { defined, jsonText, objectField, optional } from '../request-parts.ts'

const nameField = z.string().min(1).max(128)

/** What a function is, in the words of every endpoint of OpenAI. */
export const functionFields = {
  name: nameField,
  description: optional(z.string().max(16_384)),
  parameters: optional(objectField),
  strict: optional(z.boolean()),
}
type FunctionFields = z.output<z.ZodObject<typeof functionFields>>

export const toolsField = z.array(z.looseObject({ type: z.string().describe('function'), function: optional(z.looseObject(functionFields)) })).max(TOOLS_MAX)

export const toolChoiceField = z.union(
  [z.enum(['none', 'auto', 'required']), z.looseObject({ type: z.string().describe('function'), function: optional(z.looseObject({ name: nameField })) })],
  { error: 'must be "none", "auto", "required" or {"type": "function", "function": {"name": "…"}}' },
)

/** Undefined where there are none. Throws BAD_REQUEST that names the field below `path`. */
export function readTools(tools: z.output<typeof toolsField> | undefined, path: string): Tool[] | undefined {
  if (tools === undefined || tools.length === 0) return undefined
  return tools.map(({ type, function: one }, index) => {
    if (type !== 'function') throw unsupported(`${path}[${index}].type`, 'only tools of type "function" are supported')
    if (one === undefined) throw invalid(`${path}[${index}].function`, 'is missing')
    return readFunction(one, `${path}[${index}].function`)
  })
}

export function readFunction(one: FunctionFields, path: string): Tool {
  return defined<Tool>({
    name: one.name,
    description: one.description?.toWellFormed(),
    parameters: one.parameters === undefined ? NO_PARAMETERS : jsonText(one.parameters, `${path}.parameters`, SCHEMA_BYTES_MAX),
    strict: one.strict,
  })
}

/** A function without parameters, as OpenAI reads one that names none. */
const NO_PARAMETERS = '{"type":"object","properties":{}}'

export function readToolChoice(choice: z.output<typeof toolChoiceField> | undefined, tools: readonly Tool[] | undefined, path: string): ToolChoice | undefined {
  if (typeof choice === 'object') {
    if (choice.type !== 'function') throw unsupported(`${path}.type`, 'only "function" is supported')
    if (choice.function === undefined) throw invalid(`${path}.function`, 'is missing')
    return choiceOfTool(choice.function.name, tools, `${path}.function.name`)
  }
  return choiceOfMode(choice, tools, path)
}

/** Undefined where nothing is asked for: `auto`, or any wish but a call where there are no tools. */
export function choiceOfMode(mode: 'none' | 'auto' | 'required' | undefined, tools: readonly Tool[] | undefined, path: string): ToolChoice | undefined {
  if (mode === 'required' && tools === undefined) throw invalid(path, 'needs `tools`')
  return mode === undefined || mode === 'auto' || tools === undefined ? undefined : { type: mode }
}

export function choiceOfTool(name: string, tools: readonly Tool[] | undefined, path: string): ToolChoice {
  if (!(tools ?? []).some((tool) => tool.name === name)) throw invalid(path, 'names no function of `tools`')
  return { type: 'tool', name }
}
