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

const namedField = z.looseObject({ name: nameField })
const modeField = z.enum(['auto', 'required'])

export const toolChoiceField = z.union(
  [z.enum(['none', 'auto', 'required']), z.looseObject({
    type: z.string().describe('function or allowed_tools'), function: optional(namedField),
    allowed_tools: optional(z.looseObject({ mode: modeField, tools: z.array(z.looseObject({ type: z.string(), function: optional(namedField) })).max(TOOLS_MAX) })),
  })],
  { error: 'must be "none", "auto", "required", {"type": "function", "function": {"name": "…"}} or {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": […]}}' },
)

/** The tools that the model may call, and whether it must. */
export interface ToolSelection {
  readonly tools: readonly Tool[] | undefined
  readonly toolChoice: ToolChoice | undefined
}

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

/** Throws BAD_REQUEST that names the field below `path`. */
export function selectTools(choice: z.output<typeof toolChoiceField> | undefined, tools: readonly Tool[] | undefined, path: string): ToolSelection {
  if (typeof choice !== 'object') return { tools, toolChoice: choiceOfMode(choice, tools, path) }
  if (choice.type === 'allowed_tools') {
    if (choice.allowed_tools === undefined) throw invalid(`${path}.allowed_tools`, 'is missing')
    const { mode, tools: allowed } = choice.allowed_tools
    return allowedTools(mode, allowed.map((one) => one.function?.name), tools, `${path}.allowed_tools`)
  }
  if (choice.type !== 'function') throw unsupported(`${path}.type`, 'only "function" and "allowed_tools" are supported')
  if (choice.function === undefined) throw invalid(`${path}.function`, 'is missing')
  return { tools, toolChoice: choiceOfTool(choice.function.name, tools, `${path}.function.name`) }
}

/** A model that is told of some tools only calls no others, at every vendor: there need be no word for it. */
export function allowedTools(mode: z.output<typeof modeField>, names: readonly (string | undefined)[], tools: readonly Tool[] | undefined, path: string): ToolSelection {
  const stranger = names.findIndex((name) => name === undefined || !(tools ?? []).some((tool) => tool.name === name))
  if (stranger !== -1) throw invalid(`${path}.tools[${stranger}]`, 'names no function of `tools`')
  if (names.length === 0) throw invalid(`${path}.tools`, 'must have at least 1 item')
  const allowed = (tools ?? []).filter(({ name }) => names.includes(name))
  return { tools: allowed, toolChoice: choiceOfMode(mode, allowed, path) }
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
