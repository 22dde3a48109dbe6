/** The error with which work ends, where it is one of ours. */
import { toTriforceError, type TriforceError } from '../../protocol/errors.ts'

/** Throws where the work succeeds. */
export async function errorOf(work: Promise<unknown>): Promise<TriforceError> {
  let result: unknown
  try {
    result = await work
  } catch (error) {
    return toTriforceError(error)
  }
  throw new Error(`no error, but ${JSON.stringify(result)}`)
}
