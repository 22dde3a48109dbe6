/** The one parser of request bodies. */
import type { FastifyRequest } from 'fastify'
import { TriforceError } from '../../protocol/errors.ts'

/** Levels of objects and arrays in each other. No dialect needs 20; a schema of a tool, or the input of a call, may need more. */
export const BODY_LEVELS_MAX = 64

export function parseJsonBody(request: FastifyRequest, text: string | Buffer, done: (error: Error | null, body?: unknown) => void): void {
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    done(new TriforceError('UNSUPPORTED_MEDIA_TYPE', {}, { detail: 'the body must not be compressed' }))
    return
  }
  if (isTooDeep(text as string)) {
    done(new TriforceError('BAD_REQUEST', {}, { detail: `the body has more than ${BODY_LEVELS_MAX} levels of objects and arrays in each other` }))
    return
  }
  try {
    done(null, JSON.parse(text as string))
  } catch {
    done(new TriforceError('BODY_NOT_JSON'))
  }
}

/** Whatever walks over a parsed body may do so level by level. What is no JSON is not judged here. */
function isTooDeep(text: string): boolean {
  let levels = 0
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at)
        break
      case OPEN_BRACKET: case OPEN_BRACE:
        levels += 1
        if (levels > BODY_LEVELS_MAX) return true
        break
      case CLOSE_BRACKET: case CLOSE_BRACE:
        levels -= 1
    }
  }
  return false
}

const [QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

/** Where the string that begins at `at` ends: most of a body is text, and it is not looked at letter by letter. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return end
  }
  return text.length
}
