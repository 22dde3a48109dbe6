/** Which dialect a request is in, and how that one words an error; the address alone tells, so it holds where no route does. */
import type { IncomingHttpHeaders } from 'node:http'
import type { TriforceError } from '../../protocol/errors.ts'
import { anthropicErrorBody } from './anthropic/errors.ts'
import type { ErrorBody } from './dialect.ts'
import { openaiErrorBody, publicText } from './openai-errors.ts'

export type DialectName = 'openai' | 'anthropic' | 'ollama'

/** Anthropic's clients ask for models at OpenAI's address and name their version everywhere. */
export function dialectOf(url: string, headers: IncomingHttpHeaders = {}): DialectName {
  if (/^\/api(?:[/?]|$)/.test(url)) return 'ollama'
  return /^\/v1\/messages(?:[/?]|$)/.test(url) || headers['anthropic-version'] !== undefined ? 'anthropic' : 'openai'
}

/** Every answer has its request's name; Anthropic's clients look for it under a name of their own. */
export function requestIdHeaders(requestId: string, dialect: DialectName): Record<string, string> {
  const id = `req_${requestId}`
  return dialect === 'anthropic' ? { 'x-request-id': id, 'request-id': id } : { 'x-request-id': id }
}

export const errorBodies: Readonly<Record<DialectName, ErrorBody>> = {
  openai: (error) => openaiErrorBody(error),
  anthropic: anthropicErrorBody,
  ollama: ollamaErrorBody,
}

function ollamaErrorBody(error: TriforceError): string {
  return JSON.stringify({ error: publicText(error) })
}
