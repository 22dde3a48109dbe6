/** How a command ends badly: one sentence with the way out, and the exit code. It never leaves the command line. */
import { errorTable, isErrorCode, type ErrorCode, type TriforceError } from '../protocol/errors.ts'

export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const

export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number
  /** The system's code of what went wrong, where a caller can do something about it, such as EADDRINUSE. */
  readonly reason: string | undefined

  constructor(sentence: string, options: ErrorOptions & { readonly exitCode?: number; readonly reason?: string | undefined } = {}) {
    super(sentence, options)
    this.exitCode = options.exitCode ?? exitCodes.failed
    this.reason = options.reason
  }
}

export function usageError(sentence: string, cause?: unknown): CommandError {
  return new CommandError(sentence, { exitCode: exitCodes.usage, ...(cause === undefined ? {} : { cause }) })
}

/** What only the command line can advise, by the code that a node answered with. */
const waysOut: Readonly<Partial<Record<ErrorCode, string>>> = {
  INVALID_API_KEY: 'give the key that "triforce up" printed, or one that a hub\'s admin made, with --key or TRIFORCE_API_KEY',
}

/** Errors of the file system that people cause, in words; the path follows. */
const fileProblems: Readonly<Record<string, string>> = {
  EACCES: 'no permission for',
  EDQUOT: 'the disk quota is used up; make room, then try again. It could not write',
  EEXIST: 'a file is in the way:',
  EISDIR: 'a folder is where a file should be:',
  ENOENT: 'there is no file or folder',
  ENOSPC: 'the disk is full; make room, then try again. It could not write',
  ENOTDIR: 'a file is where a folder should be:',
  EPERM: 'no permission for',
  EROFS: 'the file system is read-only:',
}

/** Any thrown value as what the terminal shows and what the process exits with. */
export function describeError(error: unknown): { readonly sentence: string; readonly exitCode: number } {
  if (!(error instanceof Error)) return { sentence: String(error), exitCode: exitCodes.failed }
  if (error.name === 'CommandError') return { sentence: error.message, exitCode: (error as CommandError).exitCode }
  if (error.name === 'TriforceError' && isErrorCode((error as TriforceError).code)) {
    const { code } = error as TriforceError
    // A sentence of its own says it all; the table's general one helps nobody without what lies below it.
    const sentence = error.message === errorTable[code].text ? withCause(error) : error.message
    const wayOut = waysOut[code] ?? (errorTable[code].retry && !/again|until/.test(sentence) ? 'try again in a moment' : undefined)
    return {
      sentence: wayOut === undefined ? sentence : `${sentence}; ${wayOut}`,
      exitCode: code === 'CONFIG_INVALID' ? exitCodes.usage : exitCodes.failed,
    }
  }
  return { sentence: fileSentence(error) ?? withCause(error), exitCode: exitCodes.failed }
}

function fileSentence(error: Error): string | undefined {
  const { code, path } = error as NodeJS.ErrnoException
  const problem = code === undefined ? undefined : fileProblems[code]
  return problem === undefined || path === undefined ? undefined : `${problem} ${path}`
}

function withCause(error: Error): string {
  const inner = error.cause instanceof Error ? error.cause.message : ''
  return inner === '' || error.message.includes(inner) ? error.message : `${error.message} (${inner})`
}
