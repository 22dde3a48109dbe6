import { expect } from 'chai'
import { createLocalChannels } from '../../../../node/net/local-channel.ts'
import { decodeUnchecked } from '../../../../protocol/codec.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { codeOf, watched } from '../../../support/code-of.ts'
import { settled } from '../../../support/fake-clock.ts'

/** Sends until the channel is full; gives the number of frames. */
function fill(channel: { send(frame: Uint8Array): boolean }): number {
  let sent = 1
  while (channel.send(new Uint8Array(1_000))) sent += 1
  return sent
}

describe('node/net/local-channel', () => {
  it('carries frames both ways, in order', async () => {
    const [a, b] = createLocalChannels('peer')
    a.send(Uint8Array.of(1))
    a.send(Uint8Array.of(2))
    b.send(Uint8Array.of(3))
    expect([(await b.read())![0], (await b.read())![0], (await a.read())![0]]).to.deep.equal([1, 2, 3])
  })

  it('says stop at 64 KiB and go again when half of it was read', async () => {
    const [a, b] = createLocalChannels('peer')
    const sent = fill(a)
    expect(sent).to.be.within(50, 66)
    const drained = watched(a.drained())
    for (let n = 0; n < Math.floor(sent / 4); n += 1) await b.read()
    await settled()
    expect(drained.state).to.equal('pending')
    for (let n = 0; n < Math.ceil(sent / 2); n += 1) await b.read()
    await settled()
    expect(drained.state).to.equal('done')
  })

  it('hands values over as they are, encoded to whoever reads bytes, and in one order with frames of bytes', async () => {
    const [a, b] = createLocalChannels('peer')
    const value = { t: 'chunk', text: 'a' }
    a.pass!(value, 1)
    a.send(Uint8Array.of(1))
    a.pass!(value, 1)
    expect(await b.take!()).to.equal(value)
    expect(await b.take!()).to.deep.equal(Uint8Array.of(1))
    expect(decodeUnchecked((await b.read())!)).to.deep.equal(value)
    a.close()
    expect(await b.take!()).to.equal(undefined)
  })

  it('counts the memory of values, so that their sender waits too', async () => {
    const [a, b] = createLocalChannels('peer')
    let sent = 1
    while (a.pass!({ sent }, 1_000)) sent += 1
    expect(sent).to.be.within(50, 66)
    for (let n = 0; n < sent; n += 1) await b.take!()
    expect(a.waiting.sendBytes).to.equal(0)
  })

  it('does not hold back the other direction', () => {
    const [a, b] = createLocalChannels('peer')
    fill(a)
    expect(b.send(Uint8Array.of(1))).to.equal(true)
  })

  it('lets what was sent be read after close, then ends', async () => {
    const [a, b] = createLocalChannels('peer')
    a.send(Uint8Array.of(1))
    a.close()
    expect(b.closed.aborted).to.equal(true)
    expect((await b.read())![0]).to.equal(1)
    expect(await b.read()).to.equal(undefined)
    b.send(Uint8Array.of(2))
    expect(await a.read()).to.equal(undefined)
  })

  it('wakes a writer that waits for room when the reader leaves', async () => {
    const [a, b] = createLocalChannels('peer')
    fill(a)
    const closed = a.drained()
    b.close()
    expect(await codeOf(closed)).to.equal('HOST_LOST')
    const [c, d] = createLocalChannels('peer')
    fill(c)
    const aborted = c.drained()
    d.abort(new TriforceError('STOPPING'))
    expect(await codeOf(aborted)).to.equal('STOPPING')
    expect(await codeOf(c.drained())).to.equal('STOPPING')
  })

  it('tells a reader that waits why the channel broke', async () => {
    const [a, b] = createLocalChannels('peer')
    const reading = a.read()
    b.abort(new TriforceError('HOST_SILENT'))
    expect(await codeOf(reading)).to.equal('HOST_SILENT')
    expect((a.closed.reason as TriforceError).code).to.equal('HOST_SILENT')
  })
})
