/**
 * Yamux that tells a sender of new room when half of the window is used, as the specification has it, and not after each
 * frame: there an update follows every message, and is itself encrypted, written and read, so that a short message and
 * its answer cost four messages.
 */
import type { Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { yamux, type YamuxMuxerInit } from '@libp2p/yamux'

/** What a stream and its muxer have beside their interface. Where a later version names it otherwise, everything works as before. */
interface WindowedStream {
  sendWindowUpdate?: () => void
  /** Bytes, in all and still to come before the sender waits. */
  readonly recvWindow?: number
  readonly recvWindowCapacity?: number
  readonly state?: number
}
type Muxer = StreamMuxer & { onRemoteStream?: (stream: Stream) => void }

/** `StreamState` of @libp2p/yamux: all flags are sent, and nothing is paused. */
const ESTABLISHED = 3

export function sparingYamux(options: YamuxMuxerInit): () => StreamMuxerFactory {
  const create = yamux(options)
  return () => {
    const factory: StreamMuxerFactory = create()
    const createStreamMuxer = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection) => {
      const muxer: Muxer = createStreamMuxer(connection)
      const createStream = muxer.createStream.bind(muxer)
      muxer.createStream = async (streamOptions) => spare(await createStream(streamOptions))
      const onRemoteStream = muxer.onRemoteStream?.bind(muxer)
      if (onRemoteStream !== undefined) muxer.onRemoteStream = (stream) => { onRemoteStream(spare(stream)) }
      return muxer
    }
    return factory
  }
}

/** Replaces `sendWindowUpdate`. */
export function spare<S extends object>(stream: S): S {
  const windowed = stream as S & WindowedStream
  const sendWindowUpdate = windowed.sendWindowUpdate?.bind(stream)
  if (sendWindowUpdate === undefined) return stream
  windowed.sendWindowUpdate = () => {
    const { recvWindow, recvWindowCapacity, state } = windowed
    const isEarly = state === ESTABLISHED && recvWindow !== undefined && recvWindowCapacity !== undefined && recvWindowCapacity > recvWindow / 2
    if (!isEarly) sendWindowUpdate()
  }
  return stream
}
