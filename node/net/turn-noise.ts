/**
 * Noise, with all that is sent on a connection within one turn of the event loop encrypted as one message. A muxer sends
 * each frame and each window update by itself; alone, each costs a cipher, a write to the socket, and the same at the
 * other end. The bytes are those of plain noise, so the peer need not know.
 */
import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { noiseCrypto } from './noise-crypto.ts'
import type { TurnEnd } from './turn-end.ts'

/** Bytes of a turn from which on senders are asked to wait: as much as Node lets wait for a socket. */
const TURN_BYTES_HIGH = 64 * 1024

type Noise = ReturnType<typeof noise>
/** One piece of memory, or a list of pieces. */
type Sent = Parameters<MessageStream['send']>[0]

export function turnNoise(turnEnd: TurnEnd): (components: Parameters<Noise>[0]) => ConnectionEncrypter {
  const create = noise({ crypto: noiseCrypto })
  return (components) => {
    const encrypter: ConnectionEncrypter = create(components)
    const secureInbound = encrypter.secureInbound.bind(encrypter)
    const secureOutbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureInbound = async (connection, options) => collecting(await secureInbound(connection, options), turnEnd)
    encrypter.secureOutbound = async (connection, options) => collecting(await secureOutbound(connection, options), turnEnd)
    return encrypter
  }
}

function collecting(secured: SecuredConnection, turnEnd: TurnEnd): SecuredConnection {
  collectSends(secured.connection, turnEnd)
  return secured
}

/** Replaces `send` and `close` of the stream. */
export function collectSends(stream: MessageStream, turnEnd: TurnEnd): void {
  const send = stream.send.bind(stream)
  const close = stream.close.bind(stream)
  let pending: Sent[] = []
  let pendingBytes = 0
  /** The socket takes no more until it drains. */
  let blocked = false
  /** Somebody was told to wait for `drain`, of which the socket knows nothing. */
  let owesDrain = false

  function flush(): void {
    const parts = pending
    const bytes = pendingBytes
    pending = []
    pendingBytes = 0
    if (bytes === 0 || stream.status !== 'open') return
    try {
      blocked = !send(joined(parts, bytes))
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)))
      return
    }
    if (!owesDrain || blocked) return
    owesDrain = false
    stream.dispatchEvent(new Event('drain'))
  }

  stream.addEventListener('drain', () => {
    blocked = false
    owesDrain = false
  })

  stream.send = (data) => {
    // It refuses with an error that says why.
    if (stream.status !== 'open') return send(data)
    if (pending.length === 0) turnEnd.connection(flush)
    pending.push(data)
    pendingBytes += data.byteLength
    if (pendingBytes >= TURN_BYTES_HIGH) owesDrain = true
    return !blocked && !owesDrain
  }
  stream.close = (options) => {
    flush()
    return close(options)
  }
}

/** One piece of memory, so that the cipher runs once. */
function joined(parts: readonly Sent[], bytes: number): Uint8Array {
  const whole = Buffer.allocUnsafe(bytes)
  let offset = 0
  for (const part of parts) {
    for (const piece of part instanceof Uint8Array ? [part] : part) {
      whole.set(piece, offset)
      offset += piece.byteLength
    }
  }
  return whole
}
