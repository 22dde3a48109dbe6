/**
 * A response format as a grammar that lets the model write nothing else.
 *
 * node-llama-cpp silently drops parts of JSON Schema it does not know, so a schema is first brought into the form that it
 * does know, and a keyword that would not be kept is refused with BAD_REQUEST, never ignored. Sizes are bounded, for
 * the schema comes from strangers and a grammar grows with its counts.
 */
import type { Llama, LlamaGrammar, LlamaGrammarEvaluationState, Token } from 'node-llama-cpp'
import type { ResponseFormat } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

const DEPTH_MAX = 32
const NODES_MAX = 2_000
// llama.cpp writes a repetition out, so a count is a size; above 2,000 it refuses the grammar itself.
const COUNT_MAX = 1_000

// They only describe, or (required, additionalProperties: false) hold anyway: every named property is written.
const droppedKeywords = new Set([
  '$schema', '$id', '$comment', 'title', 'description', 'default', 'example', 'examples', 'deprecated', 'readOnly', 'writeOnly', 'required',
])
const countKeywords = new Set(['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'])
const formats = new Set(['date-time', 'time', 'date'])

// The library ends each schema grammar with four line feeds as a sign for its own chat loop; we end at the grammar's end.
const SCHEMA_SUFFIX = ' "\\n\\n\\n\\n" [\\n]*'

export async function createJsonGrammar(llama: Llama, format: ResponseFormat): Promise<LlamaGrammar | undefined> {
  if (format.type === 'text') return undefined
  if (format.type === 'json_object') return await llama.getGrammarFor('json')
  const schema = usableSchema(format.schema)
  try {
    const { grammar } = await llama.createGrammarForJsonSchema(schema as Parameters<Llama['createGrammarForJsonSchema']>[0])
    return await llama.createGrammar({ grammar: grammar.replace(SCHEMA_SUFFIX, '') })
  } catch (error) {
    throw new TriforceError('BAD_REQUEST', { param: 'response_format' }, {
      detail: 'the JSON schema cannot be turned into a grammar', cause: error,
    })
  }
}

/**
 * Brings a grammar to where it stands after these tokens. The library has no public way to it, and is pinned to one version;
 * throws CAPABILITY_MISSING where the way is gone, or where the tokens are none that the grammar allows.
 */
export function acceptTokens(llama: Llama, state: LlamaGrammarEvaluationState, tokens: readonly Token[]): void {
  if (tokens.length === 0) return
  const { _bindings: bindings } = llama as unknown as LlamaInside
  const { _state: inner } = state as unknown as { readonly _state: object }
  const sampler = bindings?.AddonSampler
  for (const token of tokens) {
    if (sampler === undefined || !sampler.canBeNextTokenForGrammarEvaluationState(inner, token)) {
      throw new TriforceError('CAPABILITY_MISSING', {}, { detail: 'this engine cannot go on from the beginning of this JSON' })
    }
    sampler.acceptGrammarEvaluationStateToken(inner, token)
  }
}

/** What the library keeps to itself. */
interface LlamaInside {
  readonly _bindings?: {
    readonly AddonSampler: {
      canBeNextTokenForGrammarEvaluationState(state: object, token: Token): boolean
      acceptGrammarEvaluationStateToken(state: object, token: Token): void
    }
  }
}

/** The schema in the form that the library keeps whole; throws BAD_REQUEST for what it would not keep. */
export function usableSchema(text: string): Json {
  let parsed: Json
  try {
    parsed = JSON.parse(text) as Json
  } catch (error) {
    throw refused('it is not valid JSON', error)
  }
  let nodes = 0
  return convert(parsed, '#', 0)

  function count(parts: number): void {
    nodes += parts
    if (nodes > NODES_MAX) throw refused(`it has more than ${NODES_MAX} parts`)
  }

  function convert(value: Json | undefined, at: string, depth: number): Json {
    if (depth > DEPTH_MAX) throw refused(`it is nested deeper than ${DEPTH_MAX}`)
    count(1)
    if (!isObject(value)) throw refused(`${at} is not an object`)
    const result: Record<string, Json> = {}
    for (const [key, part] of Object.entries(value)) convertKeyword(result, key, part, `${at}/${key}`, depth)
    if (!['type', 'enum', 'const', 'oneOf', '$ref'].some((key) => key in result)) {
      if ('properties' in result || 'additionalProperties' in result) result['type'] = 'object'
      else if ('items' in result || 'prefixItems' in result) result['type'] = 'array'
      else throw refused(`${at} says no type`)
    }
    return splitTypes(result, at)
  }

  function convertKeyword(result: Record<string, Json>, key: string, part: Json, at: string, depth: number): void {
    if (droppedKeywords.has(key)) return
    if (countKeywords.has(key)) {
      if (!Number.isSafeInteger(part) || (part as number) < 0 || (part as number) > COUNT_MAX) throw refused(`${at} must be 0 to ${COUNT_MAX}`)
      result[key] = part
      return
    }
    switch (key) {
      case 'type': result['type'] = checkedType(part, at); return
      case 'const':
        if (typeof part === 'object' && part !== null) throw refused(`${at} must be a plain value`)
        result['const'] = part
        return
      case 'enum':
        if (!isArray(part) || part.length === 0 || part.some((item) => typeof item === 'object' && item !== null)) throw refused(`${at} must list plain values`)
        count(part.length)
        result['enum'] = part
        return
      case 'format': if (typeof part === 'string' && formats.has(part)) result['format'] = part; return
      case 'anyOf':
      case 'oneOf':
        if (!isArray(part) || part.length === 0 || 'oneOf' in result) throw refused(`${at} must be one list of schemas`)
        result['oneOf'] = part.map((item, index) => convert(item, `${at}/${index}`, depth + 1))
        return
      case 'properties':
      case '$defs':
      case 'definitions': {
        if (!isObject(part)) throw refused(`${at} is not an object`)
        const entries = Object.entries(part).map(([name, item]) => [name, convert(item, `${at}/${name}`, depth + 1)] as const)
        result[key === 'definitions' ? '$defs' : key] = Object.fromEntries(entries)
        return
      }
      case 'items': result['items'] = convert(part, at, depth + 1); return
      case 'prefixItems':
        if (!isArray(part)) throw refused(`${at} is not a list`)
        result['prefixItems'] = part.map((item, index) => convert(item, `${at}/${index}`, depth + 1))
        return
      case 'additionalProperties':
        if (typeof part === 'boolean') result['additionalProperties'] = part
        else result['additionalProperties'] = convert(part, at, depth + 1)
        return
      case '$ref': result['$ref'] = checkedRef(part, at); return
      default: throw refused(`the engine cannot hold a model to "${key}" (${at})`)
    }
  }

  function checkedRef(part: Json, at: string): string {
    const name = typeof part === 'string' ? /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec(part)?.[1] : undefined
    const places = isObject(parsed) ? [parsed['$defs'], parsed['definitions']] : []
    if (name === undefined || !places.some((defs) => isObject(defs) && Object.hasOwn(defs, name))) throw refused(`${at} does not lead to a definition at the root`)
    return `#/$defs/${name}`
  }
}

const types = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array'])

function checkedType(part: Json, at: string): Json {
  const list = isArray(part) ? part : [part]
  if (list.length === 0 || list.some((type) => typeof type !== 'string' || !types.has(type))) throw refused(`${at} is not a type of JSON`)
  return list.length === 1 ? list[0] as string : list
}

/** `type: ['object', 'null']` and the like: the library knows lists only of plain types, so they become alternatives. */
function splitTypes(schema: Record<string, Json>, at: string): Json {
  const type = schema['type']
  // Next to an alternative, a value list or a reference, other rules would be dropped unseen.
  const decisive = ['enum', 'const', 'oneOf', '$ref'].filter((key) => key in schema)
  if (decisive.length > 1) throw refused(`${at} has ${decisive.join(' and ')} side by side`)
  if (decisive.length === 1) {
    const rules = Object.keys(schema).filter((key) => !decisive.includes(key) && key !== '$defs' && key !== 'type')
    if (rules.length > 0) throw refused(`${at} has ${rules.join(', ')} next to ${decisive.join()}`)
    const { type: _type, ...rest } = schema
    return rest
  }
  if (!isArray(type) || !type.some((item) => item === 'object' || item === 'array' || (item === 'string' && Object.keys(schema).length > 1))) return schema
  const { $defs, ...rules } = schema
  return { oneOf: type.map((item) => ({ ...rules, type: item })), ...($defs === undefined ? {} : { $defs }) }
}

function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refused(reason: string, cause?: unknown): TriforceError {
  return new TriforceError('BAD_REQUEST', { param: 'response_format' }, { detail: `the JSON schema cannot be used: ${reason}`, cause })
}
