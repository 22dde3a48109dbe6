/** Which dialect a request is in, and how that one words an error; the address alone tells, so it holds where no route does. */
import type { IncomingHttpHeaders } from 'node:http'
import type { TriforceError } from '../../protocol/errors.ts'
import { anthropicErrorBody } from './anthropic-errors.ts'
import type { ErrorBody } from './dialect.ts'
import { openaiErrorBody, publicText } from './openai-errors.ts'

export type DialectName = 'openai' | 'anthropic' | 'ollama'

/** Anthropic's clients ask for models at OpenAI's address and name their version everywhere. */
export function dialectOf(url: string, headers: IncomingHttpHeaders = {}): DialectName {
  if (/^\/api(?:[/?]|$)/.test(url)) return 'ollama'
  return /^\/v1\/messages(?:[/?]|$)/.test(url) || headers['anthropic-version'] !== undefined ? 'anthropic' : 'openai'
}

export const errorBodies: Readonly<Record<DialectName, ErrorBody>> = {
  openai: (error) => openaiErrorBody(error),
  anthropic: anthropicErrorBody,
  ollama: ollamaErrorBody,
}

function ollamaErrorBody(error: TriforceError): string {
  return JSON.stringify({ error: publicText(error) })
}
