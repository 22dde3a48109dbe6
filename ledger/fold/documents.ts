/** Reads signed documents inside entries, for the fold: what is needed of them and nothing else. They were judged when they were logged. */
import { toHex } from '../../protocol/bytes.ts'
import { decodeUnchecked } from '../../protocol/codec.ts'

export interface HalfTimes {
  /** All that it names; the first is its `device`. */
  readonly devices: readonly string[]
  /** Hexadecimal. */
  readonly boot: string
  readonly startMs: number
  readonly endMs: number
}

/** Gives undefined where the bytes are no receipt half. */
export function readHalf(body: Uint8Array): HalfTimes | undefined {
  const { device, devices = [device], boot, startMs, endMs } = fieldsOf(body)
  if (!isTexts(devices) || devices[0] !== device || !(boot instanceof Uint8Array) || !isCount(startMs) || !isCount(endMs)) return undefined
  return { devices, boot: toHex(boot), startMs, endMs }
}

/** The log before, as a new log's certificate names it. */
export function readPrevious(body: Uint8Array): { readonly epoch: number; readonly no: number } | undefined {
  const { previous } = fieldsOf(body)
  if (typeof previous !== 'object' || previous === null) return undefined
  const { epoch, no } = previous as Record<string, unknown>
  return isCount(epoch) && isCount(no) ? { epoch, no } : undefined
}

function fieldsOf(body: Uint8Array): Record<string, unknown> {
  try {
    const value = decodeUnchecked(body)
    return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
  } catch {
    return {}
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
