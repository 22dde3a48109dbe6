/**
 * The reading half of a channel: frames wait here until the one reader takes them. Bytes are counted, so that the
 * owner can pause its source.
 */

/** Counted for each frame on top of its bytes, so that a flood of empty frames is held back too: a view costs this much memory. */
export const FRAME_COST_BYTES = 128

export interface ReadQueue<Frame = Uint8Array> {
  push(frame: Frame): void
  /** The source has ended: in order without a reason, else broken. Frames that came before are still read. */
  end(reason?: Error): void
  read(): Promise<Frame | undefined>
  /** Memory of the frames that wait, FRAME_COST_BYTES for each included. */
  readonly bytes: number
}

/** `onRead` is called when a frame was taken. */
export function createReadQueue<Frame extends { readonly byteLength: number } = Uint8Array>(onRead: () => void): ReadQueue<Frame> {
  const frames: Frame[] = []
  let bytes = 0
  let ended = false
  let failure: Error | undefined
  let waiting: { resolve: (frame: Frame | undefined) => void; reject: (reason: Error) => void } | undefined

  return {
    push(frame) {
      if (waiting !== undefined) {
        const reader = waiting
        waiting = undefined
        reader.resolve(frame)
        return
      }
      frames.push(frame)
      bytes += frame.byteLength + FRAME_COST_BYTES
    },
    end(reason) {
      if (ended) return
      ended = true
      failure = reason
      const reader = waiting
      waiting = undefined
      if (reader === undefined) return
      if (reason === undefined) reader.resolve(undefined)
      else reader.reject(reason)
    },
    read() {
      const frame = frames.shift()
      if (frame !== undefined) {
        bytes -= frame.byteLength + FRAME_COST_BYTES
        onRead()
        return Promise.resolve(frame)
      }
      if (failure !== undefined) return Promise.reject(failure)
      if (ended) return Promise.resolve(undefined)
      if (waiting !== undefined) return Promise.reject(new Error('a channel has one reader at a time'))
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject }
      })
    },
    get bytes() {
      return bytes
    },
  }
}
