import { expect } from 'chai'
import { createReadQueue, FRAME_COST_BYTES } from '../../../../node/net/read-queue.ts'
import { codeOf, watched } from '../../../support/code-of.ts'
import { settled } from '../../../support/fake-clock.ts'
import { TriforceError } from '../../../../protocol/errors.ts'

describe('node/net/read-queue', () => {
  it('gives frames in order and tells each read', async () => {
    let reads = 0
    const queue = createReadQueue(() => { reads += 1 })
    queue.push(Uint8Array.of(1))
    queue.push(Uint8Array.of(2))
    expect([(await queue.read())![0], (await queue.read())![0]]).to.deep.equal([1, 2])
    expect(reads).to.equal(2)
  })

  it('counts bytes and a cost for each frame, so that empty frames are held back too', async () => {
    const queue = createReadQueue(() => {})
    for (let n = 0; n < 10; n += 1) queue.push(new Uint8Array(0))
    queue.push(new Uint8Array(100))
    expect(queue.bytes).to.equal(11 * FRAME_COST_BYTES + 100)
    while (queue.bytes > 0) await queue.read()
  })

  it('gives a frame straight to the reader that waits', async () => {
    const queue = createReadQueue(() => expect.fail('nothing waited'))
    const reading = queue.read()
    queue.push(Uint8Array.of(9))
    expect((await reading)![0]).to.equal(9)
    expect(queue.bytes).to.equal(0)
  })

  it('gives what came before the end, then the end, again and again', async () => {
    const queue = createReadQueue(() => {})
    queue.push(Uint8Array.of(1))
    queue.end()
    queue.end(new Error('a second end changes nothing'))
    expect((await queue.read())![0]).to.equal(1)
    expect(await queue.read()).to.equal(undefined)
    expect(await queue.read()).to.equal(undefined)
  })

  it('throws the reason after what came before it', async () => {
    const queue = createReadQueue(() => {})
    queue.push(Uint8Array.of(1))
    queue.end(new TriforceError('HOST_LOST'))
    expect((await queue.read())![0]).to.equal(1)
    expect(await codeOf(queue.read())).to.equal('HOST_LOST')
  })

  it('ends a reader that waits, in order or with the reason', async () => {
    const orderly = createReadQueue(() => {})
    const reading = watched(orderly.read())
    orderly.end()
    await settled()
    expect(reading).to.include({ state: 'done', value: undefined })
    const broken = createReadQueue(() => {})
    const failing = broken.read()
    broken.end(new TriforceError('HOST_SILENT'))
    expect(await codeOf(failing)).to.equal('HOST_SILENT')
  })

  it('refuses a second reader', async () => {
    const queue = createReadQueue(() => {})
    const first = queue.read()
    expect(await queue.read().then(() => '', (error: Error) => error.message)).to.contain('one reader')
    queue.end()
    await first
  })
})
