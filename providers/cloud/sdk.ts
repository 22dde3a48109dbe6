/** What both vendor SDKs are given. */
import type { Random } from '../../protocol/ports.ts'
import type { Transport } from './transport.ts'
import type { Vendor } from './vendor.ts'

export interface WireComponents {
  readonly vendor: Vendor
  /** The vendor's own, or another that speaks the same. */
  readonly baseUrl: string
  readonly transport: Transport
  readonly random: Random
}

/** The SDKs' own timers stay out of the way; the transport has the bounds. The longest that a timer of Node can be. */
export const SDK_MS_MAX = 2 ** 31 - 1

/** The SDKs write warnings, some with request details, to the console. */
export const silentLogger = { error: ignore, warn: ignore, info: ignore, debug: ignore }

function ignore(): void {}
