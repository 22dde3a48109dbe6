import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect } from 'chai'
import { createTurnEnd } from '../../../../node/net/turn-end.ts'

describe('node/net/turn-end', () => {
  it('runs frames and then connections, once, when the turn ends', async () => {
    const turnEnd = createTurnEnd()
    const seen: string[] = []
    turnEnd.connection(() => seen.push('connection'))
    turnEnd.frames(() => {
      seen.push('frames 1')
      turnEnd.connection(() => seen.push('connection of frames 1'))
    })
    turnEnd.frames(() => seen.push('frames 2'))
    await Promise.resolve()
    expect(seen).to.deep.equal([])
    await nextTurn()
    expect(seen).to.deep.equal(['frames 1', 'frames 2', 'connection', 'connection of frames 1'])
    await nextTurn()
    expect(seen).to.have.length(4)
  })

  it('leaves for the next turn what comes while it ends', async () => {
    const turnEnd = createTurnEnd()
    const seen: string[] = []
    turnEnd.frames(() => turnEnd.frames(() => seen.push('frames of frames')))
    turnEnd.connection(() => {
      turnEnd.frames(() => seen.push('frames of a connection'))
      turnEnd.connection(() => seen.push('connection of a connection'))
    })
    await nextTurn()
    expect(seen).to.deep.equal([])
    await nextTurn()
    expect(seen).to.deep.equal(['frames of frames', 'frames of a connection', 'connection of a connection'])
  })
})
