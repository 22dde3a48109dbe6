import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect } from 'chai'
import { createEventWriter } from '../../../../node/bridge/event-writer.ts'

/** The part of a ServerResponse that the writer uses; `takes` says what `write` gives back. */
class FakeResponse extends EventEmitter {
  readonly writes: string[] = []
  takes = true
  writableEnded = false
  destroyed = false

  write(text: string): boolean {
    this.writes.push(text)
    return this.takes
  }

  end(text: string): void {
    this.writes.push(text)
    this.writableEnded = true
  }
}

function fixture() {
  const response = new FakeResponse()
  const controller = new AbortController()
  return { response, controller, writer: createEventWriter(response as unknown as ServerResponse, controller.signal) }
}

const turn = () => new Promise<void>((resolve) => {
  setImmediate(resolve)
})

async function isPending(promise: Promise<void> | undefined): Promise<boolean> {
  let pending = promise !== undefined
  void promise?.then(() => {
    pending = false
  })
  await turn()
  return pending
}

describe('node/bridge/event-writer', () => {
  it('writes all events of one turn at once', async () => {
    const { response, writer } = fixture()
    writer.push('a')
    await Promise.resolve()
    writer.push('b')
    expect(response.writes).to.deep.equal([])
    await turn()
    writer.push('c')
    await turn()
    expect(response.writes).to.deep.equal(['ab', 'c'])
    expect(writer.room()).to.equal(undefined)
  })

  it('has no room from a full socket until it drains', async () => {
    const { response, writer } = fixture()
    response.takes = false
    writer.push('a')
    await turn()
    const room = writer.room()
    expect(writer.full).to.equal(true)
    expect(await isPending(room)).to.equal(true)
    response.emit('drain')
    expect(await isPending(room)).to.equal(false)
    expect(writer.room()).to.equal(undefined)
  })

  for (const way of ['close', 'abort']) {
    it(`does not wait for a drain that never comes after ${way}`, async () => {
      const { response, controller, writer } = fixture()
      response.takes = false
      writer.push('a')
      await turn()
      const room = writer.room()
      if (way === 'close') response.emit('close')
      else controller.abort()
      expect(await isPending(room)).to.equal(false)
    })
  }

  it('asks for the end of the turn when 16 KiB wait, so that a source without pauses cannot starve the loop', async () => {
    const { response, writer } = fixture()
    writer.push('x'.repeat(16 * 1024 - 1))
    expect(writer.room()).to.equal(undefined)
    writer.push('x')
    expect(await isPending(writer.room())).to.equal(false)
    expect(response.writes).to.have.length(1)
  })

  it('ends with what is left in one write, and never writes after', async () => {
    const { response, writer } = fixture()
    writer.push('a')
    writer.end('b')
    await turn()
    expect(response.writes).to.deep.equal(['ab'])
  })
})
