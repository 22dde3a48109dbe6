import { expect } from 'chai'
import { createOwnEnds } from '../../../ledger/own-ends.ts'
import type { Anchor, LogEnd, Marker } from '../../../ledger/store/hub-files.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'
import { quietLog } from '../../support/quiet-log.ts'

const end = (no: number, epoch = 5): LogEnd => ({ epoch, no, hash: new Uint8Array(32).fill(no) })

/** Files in memory; `gate`: writes of the anchor wait for it. */
async function endsWorld({ anchor, marker, fails = false }: { anchor?: Anchor; marker?: Marker; fails?: boolean } = {}) {
  const clock = fakeClock(1_000)
  const files: { anchor: Anchor | undefined; marker: Marker | undefined } = { anchor, marker }
  let gate = Promise.resolve()
  let anchorWrites = 0
  let writing = 0
  const ends = await createOwnEnds({
    clock, log: quietLog(),
    files: {
      readAnchor: () => Promise.resolve(files.anchor), readMarker: () => Promise.resolve(files.marker),
      writeAnchor: async (written) => {
        // As on a disk: the second would take the first one's new file away.
        expect(writing += 1, 'anchors written at once').to.equal(1)
        await gate
        writing -= 1
        anchorWrites += 1
        if (fails) throw new Error('no space left on device')
        files.anchor = written
      },
      writeMarker: (written) => {
        files.marker = { boot: 'b', ...written }
        return Promise.resolve()
      },
    },
  })
  return {
    ends, clock, files,
    get anchorWrites() { return anchorWrites },
    hold: () => {
      let open = () => {}
      gate = new Promise((resolve) => { open = resolve })
      return () => { open() }
    },
  }
}

describe('ledger/own-ends', () => {
  it('has the anchor follow the log at a distance, and the marker at once', async () => {
    const world = await endsWorld()
    await world.ends.opened(end(0))
    for (const no of [1, 2, 3]) world.ends.advanced(end(no))
    await settled()
    expect([world.files.anchor!.no, world.files.marker!.no]).to.deep.equal([0, 3])
    world.clock.advance(200)
    await settled()
    expect([world.files.anchor!.no, world.anchorWrites]).to.deep.equal([3, 2])
    world.ends.advanced(end(4))
    await world.ends.close()
    expect(world.files.anchor!.no).to.equal(4)
  })

  it('says that a promise is known outside only when the anchor is written, with all that the log has', async () => {
    const world = await endsWorld()
    await world.ends.opened(end(0))
    world.ends.advanced(end(1))
    const open = world.hold()
    let known = false
    const promised = world.ends.promised(1).then(() => { known = true })
    await settled()
    expect(known).to.equal(false)
    open()
    await promised
    expect(world.files.anchor).to.deep.equal({ ...end(1), promises: 1 })
    expect(world.files.marker).to.deep.equal({ ...end(1), promises: 1, boot: 'b' })
    expect(known).to.equal(true)
  })

  it('writes one anchor at a time, also where a promise comes while a log begins', async () => {
    const world = await endsWorld()
    const open = world.hold()
    const opened = world.ends.opened(end(0))
    await settled()
    const promised = world.ends.promised(1)
    world.ends.advanced(end(1))
    world.clock.advance(200)
    await settled()
    open()
    await Promise.all([opened, promised])
    await world.ends.close()
    expect(world.files.anchor).to.deep.equal({ ...end(1), promises: 1 })
  })

  it('counts on from what it found, never back, also in a new log', async () => {
    const world = await endsWorld({ anchor: { ...end(7), promises: 3 }, marker: { ...end(8), promises: 4, boot: 'b' } })
    await world.ends.promised(2)
    expect([world.files.anchor, world.files.marker]).to.deep.equal([{ ...end(7), promises: 4 }, { ...end(8), promises: 4, boot: 'b' }])
    await world.ends.promised(5)
    await world.ends.opened(end(0, 6))
    expect([world.files.anchor, world.files.marker]).to.deep.equal([{ ...end(0, 6), promises: 5 }, { ...end(0, 6), promises: 5, boot: 'b' }])
  })

  it('writes no marker for a promise after the machine was restarted: it would say that only the process was', async () => {
    const world = await endsWorld({ anchor: { ...end(7), promises: 3 } })
    await world.ends.promised(4)
    expect([world.files.anchor!.promises, world.files.marker]).to.deep.equal([4, undefined])
    const empty = await endsWorld()
    await empty.ends.promised(1)
    expect([empty.files.anchor, empty.files.marker]).to.deep.equal([undefined, undefined])
    await empty.ends.opened(end(0))
    empty.ends.advanced(end(1))
    await settled()
    expect(empty.files.marker, 'with the first log').to.deep.equal({ ...end(1), promises: 1, boot: 'b' })
  })

  it('goes on where the anchor cannot be written: the database has it', async () => {
    const world = await endsWorld({ anchor: { ...end(7), promises: 3 }, fails: true })
    await world.ends.promised(4)
    await world.ends.close()
    expect(world.files.anchor!.promises).to.equal(3)
  })
})
