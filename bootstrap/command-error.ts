/** How a command ends badly: one sentence with the way out, and the exit code. It never leaves the command line. */
import { isErrorCode, type TriforceError } from '../protocol/errors.ts'

export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const

export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(sentence: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(sentence, options)
    this.exitCode = options.exitCode ?? exitCodes.failed
  }
}

/** Any thrown value as what the terminal shows and what the process exits with. */
export function describeError(error: unknown): { readonly sentence: string; readonly exitCode: number } {
  if (!(error instanceof Error)) return { sentence: String(error), exitCode: exitCodes.failed }
  if (error.name === 'CommandError') return { sentence: error.message, exitCode: (error as CommandError).exitCode }
  if (error.name === 'TriforceError' && isErrorCode((error as TriforceError).code)) {
    return {
      sentence: withCause(error),
      exitCode: (error as TriforceError).code === 'CONFIG_INVALID' ? exitCodes.usage : exitCodes.failed,
    }
  }
  return { sentence: withCause(error), exitCode: exitCodes.failed }
}

/** A general sentence such as "something went wrong" helps nobody without what lies below it. */
function withCause(error: Error): string {
  const inner = error.cause instanceof Error ? error.cause.message : ''
  return inner === '' || error.message.includes(inner) ? error.message : `${error.message} (${inner})`
}
