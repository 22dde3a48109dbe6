import type { Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { multiaddrConnectionPair } from '@libp2p/utils'
import { expect } from 'chai'
import { sparingYamux, spare } from '../../../../node/net/sparing-yamux.ts'
import { until } from '../../../support/until.ts'

const WINDOW_BYTES = 256 * 1024

/** Two real muxers over a connection within this process; counts the messages of each side. */
async function pair(factory: () => StreamMuxerFactory = sparingYamux({})) {
  const [left, right] = multiaddrConnectionPair()
  const sent = { left: 0, right: 0 }
  for (const [name, connection] of [['left', left], ['right', right]] as const) {
    const send = connection.send.bind(connection)
    connection.send = (data) => {
      sent[name] += 1
      return send(data)
    }
  }
  const muxers = [factory().createStreamMuxer(left), factory().createStreamMuxer(right)] as const
  const remote = new Promise<Stream>((resolve) => { muxers[1].addEventListener('stream', ({ detail }) => { resolve(detail) }) })
  const local = await muxers[0].createStream()
  local.send(Uint8Array.of(1))
  const other = await remote
  let received = 0
  other.addEventListener('message', ({ data }) => { received += data.byteLength })
  await until('the stream is open on both sides', () => received === 1)
  return { local, other, sent, received: () => received, close: () => muxers.map((muxer: StreamMuxer) => muxer.abort(new Error('the test is over'))) }
}

describe('node/net/sparing-yamux', () => {
  it('sends no update for a message that leaves more than half of the window', async () => {
    const { local, sent, received, close } = await pair()
    const before = { ...sent }
    for (let n = 0; n < 100; n += 1) {
      local.send(new Uint8Array(1_000))
      await until('it has come', () => received() === 1 + 1_000 * (n + 1))
    }
    expect(sent.right - before.right).to.equal(0)
    expect(sent.left - before.left).to.be.at.least(100)
    close()
  })

  it('never lets a sender wait that has much more to send than the window holds', async () => {
    const { local, sent, received, close } = await pair()
    const before = sent.right
    const bytes = 40 * WINDOW_BYTES
    for (let left = bytes; left > 0; left -= 64 * 1024) if (!local.send(new Uint8Array(64 * 1024))) await local.onDrain()
    await until('all has come', () => received() === 1 + bytes, 10_000)
    // Half of a window each, or less: as the window grows there are fewer.
    expect(sent.right - before).to.be.within(1, 2 * bytes / WINDOW_BYTES)
    close()
  })

  it('opens the window again when its reader goes on', async () => {
    const { local, other, received, close } = await pair()
    other.pause()
    let stuck = false
    for (let n = 0; n < 16 && !stuck; n += 1) stuck = !local.send(new Uint8Array(64 * 1024))
    expect(stuck, 'a reader that pauses stops the sender').to.equal(true)
    other.resume()
    await local.onDrain()
    local.send(new Uint8Array(7))
    await until('all has come', () => (received() - 1) % (64 * 1024) === 7)
    close()
  })

  it('leaves a stream of another kind as it is', () => {
    const stream = { send: () => true }
    expect(spare(stream)).to.equal(stream)
    expect(Object.keys(stream)).to.deep.equal(['send'])
  })
})
