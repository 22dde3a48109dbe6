/**
 * A channel: frames in both directions between two peers, with backpressure. What jobs, control and ledger speak over;
 * they do not know whether a libp2p stream (stream-channel.ts) or the same process (local-channel.ts) is behind it.
 */
import type { TriforceError } from '../../protocol/errors.ts'
import type { JobPath } from './traffic.ts'

export interface Channel {
  /** Peer id of the other side. */
  readonly peer: string
  /** By which way its bytes go; absent within one process. */
  readonly path?: JobPath
  /** False: a better connection to the peer has come, so this one is not lent for new work. Absent: always. */
  readonly isGood?: () => boolean
  /**
   * Queues a frame; all frames of one tick leave together. False: the other side is slow, wait for `drained` before the
   * next. Frames sent after the channel has closed are dropped; `closed` tells.
   */
  send(frame: Uint8Array): boolean
  /** Resolves when the next frame may be sent. Throws the reason for which the channel closed. */
  drained(): Promise<void>
  /** The next frame, or undefined after an orderly end. Throws the reason where it broke. One reader at a time. */
  read(): Promise<Uint8Array | undefined>
  /**
   * Within one process: `send` and `read` of a frame's value as it is, which is neither encoded nor checked. Whoever sends it
   * does not touch it again. `bytes`: about how much memory it holds. `take` gives bytes where the other side sent bytes.
   */
  readonly pass?: (value: object, bytes: number) => boolean
  readonly take?: () => Promise<object | undefined>
  /** Ends our side in order. */
  close(): void
  /** Ends both sides at once; what was not sent or read is lost. */
  abort(reason: TriforceError): void
  /** Aborts when the channel has ended, for whatever reason. */
  readonly closed: AbortSignal
  /** Frames that wait to be read and bytes that wait to be sent; for tests and metrics. */
  readonly waiting: { readonly readBytes: number; readonly sendBytes: number }
}

/** Serves one inbound channel until it ends; a throw aborts it. */
export type ChannelHandler = (channel: Channel) => Promise<void>
