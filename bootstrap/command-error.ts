/** How a command ends badly: one sentence with the way out, and the exit code. It never leaves the command line. */
import { errorTable, isErrorCode, type TriforceError } from '../protocol/errors.ts'

export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const

export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(sentence: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(sentence, options)
    this.exitCode = options.exitCode ?? exitCodes.failed
  }
}

export function usageError(sentence: string, cause?: unknown): CommandError {
  return new CommandError(sentence, { exitCode: exitCodes.usage, ...(cause === undefined ? {} : { cause }) })
}

/** Any thrown value as what the terminal shows and what the process exits with. */
export function describeError(error: unknown): { readonly sentence: string; readonly exitCode: number } {
  if (!(error instanceof Error)) return { sentence: String(error), exitCode: exitCodes.failed }
  if (error.name === 'CommandError') return { sentence: error.message, exitCode: (error as CommandError).exitCode }
  if (error.name === 'TriforceError' && isErrorCode((error as TriforceError).code)) {
    const { code } = error as TriforceError
    return {
      // A sentence of its own says it all; the table's general one helps nobody without what lies below it.
      sentence: error.message === errorTable[code].text ? withCause(error) : error.message,
      exitCode: code === 'CONFIG_INVALID' ? exitCodes.usage : exitCodes.failed,
    }
  }
  return { sentence: withCause(error), exitCode: exitCodes.failed }
}

function withCause(error: Error): string {
  const inner = error.cause instanceof Error ? error.cause.message : ''
  return inner === '' || error.message.includes(inner) ? error.message : `${error.message} (${inner})`
}
