/** What is settled of a host's part that broke off: what the host signed last, for only a signed half is paid. */
import { bytesEqual } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/codec.ts'
import { receiptHalfSchema } from '../../protocol/messages/receipt.ts'
import type { JobSeen } from './job-run.ts'

/**
 * Where the host's own end is missing and its last half on the way says what had come by then, that is settled: the few tokens
 * after it have nobody's signature. Else everything that came, without a half.
 */
export function signedPart(seen: JobSeen): JobSeen {
  const { half, soFar } = seen
  if (half !== undefined || soFar === undefined || soFar.completionTokens === 0) return seen
  try {
    const said = decode(receiptHalfSchema, soFar.half.body)
    const isRight = said.usage.completionTokens === soFar.completionTokens && bytesEqual(said.outputHash, soFar.outputHash) && said.finish === seen.finish
    if (!isRight) return seen
  } catch {
    return seen
  }
  return { ...seen, half: soFar.half, usage: { ...seen.usage, completionTokens: soFar.completionTokens }, outputHash: soFar.outputHash }
}
