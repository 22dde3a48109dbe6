import { expect } from 'chai'
import type { Stream } from '@libp2p/interface'
import { createStreamChannel } from '../../../../node/net/stream-channel.ts'
import { prefixBytes, writeFrame } from '../../../../node/net/frame-splitter.ts'
import type { TriforceError } from '../../../../protocol/errors.ts'
import { codeOf, watched } from '../../../support/code-of.ts'
import { settled } from '../../../support/fake-clock.ts'

/** As much of a libp2p stream as the channel uses, with the traps that matter: sends can be refused, pause holds data back. */
class FakeStream extends EventTarget {
  readStatus: 'readable' | 'paused' = 'readable'
  writable = true
  readonly sent: Uint8Array[] = []
  closed = false
  aborted: Error | undefined
  send(bytes: Uint8Array): boolean {
    this.sent.push(bytes)
    return this.writable
  }
  pause(): void { this.readStatus = 'paused' }
  resume(): void { this.readStatus = 'readable' }
  close(): Promise<void> {
    this.closed = true
    return Promise.resolve()
  }
  abort(error: Error): void { this.aborted = error }
  receive(...frames: readonly Uint8Array[]): void {
    const data = new Uint8Array(frames.reduce((sum, frame) => sum + prefixBytes(frame.byteLength) + frame.byteLength, 0))
    let offset = 0
    for (const frame of frames) offset = writeFrame(data, offset, frame)
    this.raw(data)
  }
  raw(data: Uint8Array): void { this.dispatchEvent(Object.assign(new Event('message'), { data })) }
}

function open(options: Parameters<typeof createStreamChannel>[2] = {}) {
  const stream = new FakeStream()
  return { stream, channel: createStreamChannel(stream as unknown as Stream, 'peer', options) }
}

describe('node/net/stream-channel', () => {
  it('sends all frames of a tick as one buffer', async () => {
    const { stream, channel } = open()
    for (let n = 0; n < 5; n += 1) channel.send(Uint8Array.of(n))
    expect(stream.sent).to.have.length(0)
    await settled()
    expect(stream.sent.map((bytes) => bytes.byteLength)).to.deep.equal([10])
  })

  it('holds frames back while the stream is full, and sends them on drain', async () => {
    const { stream, channel } = open()
    stream.writable = false
    channel.send(Uint8Array.of(1))
    await settled()
    expect(channel.send(Uint8Array.of(2))).to.equal(false)
    const drained = watched(channel.drained())
    await settled()
    expect(stream.sent).to.have.length(1)
    expect(drained.state).to.equal('pending')
    stream.writable = true
    stream.dispatchEvent(new Event('drain'))
    await settled()
    expect(drained.state).to.equal('done')
    expect(stream.sent).to.have.length(2)
  })

  it('pauses the stream when the reader is behind and resumes it when half was read', async () => {
    const { stream, channel } = open({ readBytesHigh: 1_000 })
    stream.receive(...Array.from({ length: 8 }, () => new Uint8Array(100)))
    await settled()
    expect(stream.readStatus).to.equal('paused')
    while (channel.waiting.readBytes > 500) await channel.read()
    expect(stream.readStatus).to.equal('readable')
  })

  it('does not fall asleep where the reader empties the queue before the pause takes hold', async () => {
    const { stream, channel } = open({ readBytesHigh: 1_000 })
    const reader = (async () => {
      const sizes: number[] = []
      for (let frame = await channel.read(); frame !== undefined; frame = await channel.read()) sizes.push(frame.byteLength)
      return sizes
    })()
    await settled()
    stream.receive(new Uint8Array(1), new Uint8Array(1_500))
    await settled()
    expect(channel.waiting.readBytes).to.equal(0)
    expect(stream.readStatus).to.equal('readable')
    stream.dispatchEvent(new Event('remoteCloseWrite'))
    expect(await reader).to.deep.equal([1, 1_500])
  })

  it('holds back a flood of empty frames', async () => {
    const { stream } = open({ readBytesHigh: 10_000 })
    stream.raw(new Uint8Array(1_000))
    await settled()
    expect(stream.readStatus).to.equal('paused')
  })

  it('aborts on a frame over the limit, after the frames before it', async () => {
    const { stream, channel } = open({ frameBytesMax: 100 })
    stream.receive(new Uint8Array(3), new Uint8Array(101))
    await settled()
    expect((stream.aborted as TriforceError).code).to.equal('FRAME_TOO_LARGE')
    expect((await channel.read())!.byteLength).to.equal(3)
    expect(await codeOf(channel.read())).to.equal('FRAME_TOO_LARGE')
  })

  it('takes an end inside a frame for a loss and an end between frames for an end', async () => {
    const torn = open()
    torn.stream.raw(Uint8Array.of(5, 1, 2))
    torn.stream.dispatchEvent(new Event('remoteCloseWrite'))
    expect(await codeOf(torn.channel.read())).to.equal('HOST_LOST')
    const whole = open()
    whole.stream.dispatchEvent(new Event('remoteCloseWrite'))
    expect(await whole.channel.read()).to.equal(undefined)
  })

  it('sends what waits before it closes', async () => {
    const { stream, channel } = open()
    channel.send(Uint8Array.of(1))
    channel.close()
    expect(stream.closed).to.equal(false)
    await settled()
    expect(stream.sent).to.have.length(1)
    expect(stream.closed).to.equal(true)
  })

  it('rejects a writer that waits when the stream breaks', async () => {
    const { stream, channel } = open()
    stream.writable = false
    channel.send(Uint8Array.of(1))
    await settled()
    const drained = channel.drained()
    stream.dispatchEvent(Object.assign(new Event('close'), { error: new Error('reset') }))
    expect(await codeOf(drained)).to.equal('HOST_LOST')
    expect(channel.closed.aborted).to.equal(true)
  })
})
