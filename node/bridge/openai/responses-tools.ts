/**
 * Tools of `/v1/responses`. Functions are what they are. A tool of type `custom` takes free text, and no model but a few
 * of OpenAI's has such tools: for the model it is a function with one string, and in the answer it is a custom call
 * again. Tools that OpenAI itself would run are left out, which the answer says: agents declare them in every request.
 */
import { z } from 'zod'
import type { Tool } from '../../../protocol/completion.ts'
import { SCHEMA_BYTES_MAX, TOOLS_MAX } from '../../../protocol/limits.ts'
import { invalid, unsupported } from '../request-check.ts'
import { defined, optional } from '../request-parts.ts'
import { allowedTools, choiceOfMode, choiceOfTool, functionFields, readFunction, type ToolSelection } from './chat-tools.ts'

export const responseToolsField = z.array(z.looseObject({
  type: z.string().describe('function or custom; others are left out'),
  ...functionFields,
  name: optional(functionFields.name),
  format: optional(z.looseObject({ type: z.string(), syntax: optional(z.string()), definition: optional(z.string().max(SCHEMA_BYTES_MAX)) })),
})).max(TOOLS_MAX)
type ResponseTool = z.output<typeof responseToolsField>[number]

export const responseToolChoiceField = z.union(
  [z.enum(['none', 'auto', 'required']), z.looseObject({
    type: z.string(), name: optional(functionFields.name),
    mode: optional(z.enum(['auto', 'required'])), tools: optional(z.array(z.looseObject({ type: z.string(), name: optional(functionFields.name) })).max(TOOLS_MAX)),
  })],
  { error: 'must be "none", "auto", "required", {"type": "function", "name": "…"} or {"type": "allowed_tools", "mode": "auto", "tools": […]}' },
)

export interface ResponseTools {
  /** Undefined where there are none. */
  readonly tools: Tool[] | undefined
  /** Names of those that take free text. */
  readonly custom: ReadonlySet<string>
  /** Types of those that nobody here runs. */
  readonly leftOut: readonly string[]
}

/** Types of which it is known that OpenAI's servers run them, or that they only help to find others. */
const HOSTED = new Set([
  'web_search', 'web_search_preview', 'file_search', 'code_interpreter', 'computer', 'computer_use', 'computer_use_preview', 'image_generation', 'mcp', 'local_shell', 'shell',
  'apply_patch', 'namespace', 'tool_search', 'programmatic_tool_calling',
])

/** Throws BAD_REQUEST that names the tool. */
export function readResponseTools(asked: readonly ResponseTool[] | undefined): ResponseTools {
  const tools: Tool[] = []
  const custom = new Set<string>()
  const leftOut: string[] = []
  for (const [index, tool] of (asked ?? []).entries()) {
    const path = `tools[${index}]`
    if (isHosted(tool.type)) {
      leftOut.push(tool.type)
      continue
    }
    if (tool.type !== 'function' && tool.type !== 'custom') throw unsupported(`${path}.type`, 'only "function" and "custom" are supported')
    if (tool.name === undefined) throw invalid(`${path}.name`, 'is missing')
    const named = { ...tool, name: tool.name }
    if (tool.type === 'custom') custom.add(tool.name)
    tools.push(tool.type === 'custom' ? functionOfCustom(named, path) : readFunction(named, path))
  }
  return { tools: tools.length === 0 ? undefined : tools, custom, leftOut: [...new Set(leftOut)] }
}

/** Dated versions, such as `web_search_preview_2025_03_11`, are the same kind. */
function isHosted(type: string): boolean {
  return HOSTED.has(type.replace(/_\d{4}_\d{2}_\d{2}$/, ''))
}

/** Throws BAD_REQUEST that names the field. */
export function selectResponseTools(choice: z.output<typeof responseToolChoiceField> | undefined, { tools, leftOut }: ResponseTools): ToolSelection {
  if (typeof choice !== 'object') return { tools, toolChoice: choiceOfMode(choice, tools, 'tool_choice') }
  if (choice.type === 'allowed_tools') {
    // What nobody here runs was left out of `tools`, so it is of no account here either.
    const allowed = (choice.tools ?? []).filter(({ type }) => !leftOut.includes(type))
    return allowedTools(choice.mode ?? 'auto', allowed.map(({ name }) => name), tools, 'tool_choice')
  }
  if (choice.type !== 'function' && choice.type !== 'custom') throw unsupported('tool_choice.type', 'only "function", "custom" and "allowed_tools" are supported')
  if (choice.name === undefined) throw invalid('tool_choice.name', 'is missing')
  return { tools, toolChoice: choiceOfTool(choice.name, tools, 'tool_choice.name') }
}

const CUSTOM_PARAMETERS = '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'

function functionOfCustom({ name, description, format }: ResponseTool & { readonly name: string }, path: string): Tool {
  const grammar = format?.definition === undefined ? '' : `\n\nThe input must fit this grammar (${format.syntax ?? 'lark'}):\n${format.definition}`
  const text = ((description ?? '') + grammar).toWellFormed()
  if (text.length > 16_384) throw invalid(`${path}.format`, 'description and grammar may have 16384 characters together')
  return defined<Tool>({ name, description: text === '' ? undefined : text, parameters: CUSTOM_PARAMETERS })
}

/** What a custom call looks like to the model. */
export function callOfCustomInput(input: string): string {
  return JSON.stringify({ input })
}

/** The free text of a call; a model that wrote no such object has written the text itself. */
export function customInputOf(json: string): string {
  try {
    const { input } = JSON.parse(json) as { readonly input?: unknown }
    return typeof input === 'string' ? input : json
  } catch {
    return json
  }
}

