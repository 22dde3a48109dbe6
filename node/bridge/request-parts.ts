/** Parts that the readers of several dialects share: how a field may look, and what it becomes in the internal form. */
import { z } from 'zod'
import type { ChatMessage, ImagePart, ReasoningWish } from '../../protocol/completion.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { COMPLETION_TOKENS_MAX, IMAGE_BYTES_MAX, IMAGES_MAX, PROMPT_CHARS_MAX, STOP_CHARS_MAX, STOP_STRINGS_MAX } from '../../protocol/limits.ts'
import { invalid, unsupported } from './request-check.ts'

/** Clients send `null` for what they leave out. */
export function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullish().transform((value) => value ?? undefined)
}

/** The object without the keys whose value is undefined. */
export function defined<Value extends object>(value: { readonly [Key in keyof Value]: Value[Key] | undefined }): Value {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Value
}

/** A lone half of a surrogate pair has no UTF-8 form; replaced here, every later step sees the same text. */
export const textField = z.string().transform((text) => text.toWellFormed())

/** Passed on as it came, so it is not copied key by key as `z.record` would. */
export const objectField = z.custom<object>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'must be an object')
  .meta({ type: 'object' })

const stopField = z.string().min(1).max(STOP_CHARS_MAX)

/** One stop string or several. */
export const stopsField = z.union([stopField, z.array(stopField).max(STOP_STRINGS_MAX)], {
  error: `must be a string or a list of up to ${STOP_STRINGS_MAX} strings of 1 to ${STOP_CHARS_MAX} characters`,
})

export function stopsOf(stop: z.output<typeof stopsField> | undefined): string[] {
  return typeof stop === 'string' ? [stop] : stop ?? []
}

/** In OpenAI's words. */
export const effortField = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh'])

/** `xhigh`, which few models know, is `high`. */
export function effortOf(effort: z.output<typeof effortField>): NonNullable<ReasoningWish['effort']> {
  return effort === 'xhigh' ? 'high' : effort
}

/** A penalty of 0 asks for nothing. */
export function unlessZero(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value
}

export function cappedTokens(tokens: number): number {
  return Math.min(tokens, COMPLETION_TOKENS_MAX)
}

/** Fields that ask for what cannot be done here, each with the test that a value asks for nothing, and where there is one a way out. */
export type RefusedFields = Readonly<Record<string, RefusedField>>
type RefusedField = ((value: unknown) => boolean) | { readonly idle: (value: unknown) => boolean; readonly instead: string }

/** Throws BAD_REQUEST for the first field of `refused` that asks for something. */
export function refuseFields(object: Readonly<Record<string, unknown>>, refused: RefusedFields, path = ''): void {
  for (const [field, rule] of Object.entries(refused)) {
    const value = object[field]
    const { idle, instead } = typeof rule === 'function' ? { idle: rule, instead: undefined } : rule
    if (value === undefined || value === null || idle(value)) continue
    throw unsupported(path + field, `\`${field}\` with this value is not supported${instead === undefined ? '' : `; ${instead}`}`)
  }
}

export function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

export function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

/** The test that a value is one of these. */
export function oneOf(...idle: readonly unknown[]): (value: unknown) => boolean {
  return (value) => idle.includes(value)
}

/** JSON text of what JSON.parse gave. Throws BAD_REQUEST for what is too deep or longer than `bytesMax`. */
export function jsonText(value: object, path: string, bytesMax: number): string {
  let text: string
  try {
    text = JSON.stringify(value).toWellFormed()
  } catch {
    // Only a RangeError is possible: what JSON.parse built deeper than the stack.
    throw invalid(path, 'is nested too deeply')
  }
  if (Buffer.byteLength(text, 'utf8') > bytesMax) throw invalid(path, `may have ${bytesMax} bytes`)
  return text
}

/** Clients may send any integer and engines take 32 bits: equal seeds stay equal. */
export function foldSeed(seed: number): number {
  const range = 2 ** 32
  return ((seed % range) + range) % range
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/** An image in base64. Its first bytes must be those of one of the four kinds that models read; they also tell which. */
export function readImage(base64: string, path: string): ImagePart {
  // A third more characters than bytes.
  if (base64.length > Math.ceil(IMAGE_BYTES_MAX / 3) * 4) throw invalid(path, `an image may have ${IMAGE_BYTES_MAX} bytes`)
  if (!BASE64.test(base64)) throw invalid(path, 'must be an image in base64')
  const data = new Uint8Array(Buffer.from(base64, 'base64'))
  const mediaType = imageTypeOf(data)
  if (mediaType === undefined) throw invalid(path, 'must be a PNG, JPEG, WebP or GIF image')
  return { type: 'image', mediaType, data }
}

/** The same from a `data:image/png;base64,…`. An address is never fetched, by nobody. */
export function readImageUri(uri: string, path: string): ImagePart {
  if (!uri.startsWith('data:')) throw unsupported(path, 'images are not fetched from addresses; send the image itself as "data:image/png;base64,…"')
  const comma = uri.indexOf(',')
  if (comma === -1 || !/;base64$/i.test(uri.slice(0, comma))) throw invalid(path, 'must be a data URI in base64')
  return readImage(uri.slice(comma + 1), path)
}

function imageTypeOf(data: Uint8Array): ImagePart['mediaType'] | undefined {
  const head = Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, 12)).toString('latin1')
  if (head.startsWith('\x89PNG')) return 'image/png'
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (head.startsWith('GIF8')) return 'image/gif'
  return head.startsWith('RIFF') && head.endsWith('WEBP') ? 'image/webp' : undefined
}

/** Throws CONTEXT_LENGTH_EXCEEDED or BAD_REQUEST where all messages together are more than a request may carry. */
export function checkPromptSize(messages: readonly ChatMessage[], param = 'messages'): void {
  let chars = 0
  let images = 0
  for (const { content, toolCalls = [], reasoning = [] } of messages) {
    if (typeof content === 'string') chars += content.length
    else {
      for (const part of content) {
        if (part.type === 'text') chars += part.text.length
        else images += 1
      }
    }
    for (const call of toolCalls) chars += call.arguments.length
    for (const block of reasoning) chars += block.text.length
  }
  if (images > IMAGES_MAX) throw invalid(param, `may have ${IMAGES_MAX} images together`)
  if (chars > PROMPT_CHARS_MAX) {
    throw new TriforceError('CONTEXT_LENGTH_EXCEEDED', { param }, {
      detail: `the messages have ${chars} characters together; ${PROMPT_CHARS_MAX} are the most that a request may have`,
    })
  }
}

/** A last message of the assistant is a beginning that the answer goes on from, unless it ends in calls of tools. */
export function isBegun(messages: readonly ChatMessage[]): boolean {
  const last = messages.at(-1)
  return last?.role === 'assistant' && last.toolCalls === undefined
}
