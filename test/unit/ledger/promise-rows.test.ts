import { expect } from 'chai'
import type { Kept } from '../../../ledger/commit-lane.ts'
import { memoryRowKey } from '../../../ledger/hub/memory.ts'
import { sealRowKey } from '../../../ledger/hub/seal-documents.ts'
import { createPromiseRows, promiseCountKey } from '../../../ledger/promise-rows.ts'

const one = sealRowKey({ hub: 1, epoch: 5 })
const two = sealRowKey({ hub: 2, epoch: 5 })
const value = (byte: number) => new Uint8Array(20).fill(byte)

/** A database that keeps these rows one after the other; gives what it has after each batch, and the count. */
function written(...rows: readonly Kept[]) {
  const database = new Map<string, Uint8Array>()
  const images = [new Map(database)]
  const promises = createPromiseRows(database, 0)
  let count = 0
  for (const row of rows) {
    const batch = promises.with(row)
    for (const kept of batch) database.set(kept.key, kept.value)
    images.push(new Map(database))
    count = promises.countIn(batch) ?? count
  }
  return { images, count, database }
}

describe('ledger/promise-rows', () => {
  const rows = [{ key: one, value: value(1) }, { key: 'checkpoint/signed', value: value(2) }, { key: memoryRowKey, value: value(3) }, { key: one, value: value(4) }, { key: two, value: value(5) }]

  it('find nothing lost where all of them are there, also with more than anybody outside knows', () => {
    const { database, count } = written(...rows)
    expect(count).to.equal(4)
    for (const known of [0, 3, 4]) expect(createPromiseRows(database, known).lost, `${known}`).to.equal(false)
    expect(createPromiseRows(new Map(), 0).lost, 'an empty folder is judged by its log').to.equal(false)
    expect(createPromiseRows(new Map([[one, value(1)]]), 0).lost, 'a folder of before they were counted').to.equal(false)
  })

  it('find the last batches lost, however many', () => {
    const { images, count } = written(...rows)
    for (const [batches, image] of images.slice(0, -1).entries()) expect(createPromiseRows(image, count).lost, `${batches} batches are left`).to.equal(true)
  })

  it('find a row missing, older or changed, and the count itself missing', () => {
    const { database, count } = written(...rows)
    for (const key of [one, two, memoryRowKey, promiseCountKey]) {
      const without = new Map(database)
      without.delete(key)
      expect(createPromiseRows(without, count).lost, `without ${key}`).to.equal(true)
    }
    expect(createPromiseRows(new Map([...database, [one, value(1)]]), count).lost, 'as it was before').to.equal(true)
    expect(createPromiseRows(new Map([...database, [two, value(1)]]), count).lost).to.equal(true)
    expect(createPromiseRows(new Map([...database, ['checkpoint/signed', value(9)]]), count).lost, 'another kind of row').to.equal(false)
  })

  it('are whole again when the next one is written after a loss', () => {
    const { images, count } = written(...rows)
    const image = images[1]!
    const promises = createPromiseRows(image, count)
    for (const kept of promises.with({ key: memoryRowKey, value: value(7) })) image.set(kept.key, kept.value)
    expect(promises.countIn([{ key: promiseCountKey, value: image.get(promiseCountKey)! }])).to.equal(count + 1)
    expect(createPromiseRows(image, count + 1).lost).to.equal(false)
  })

  it('are counted with them in one batch, and nothing else is', () => {
    const promises = createPromiseRows(new Map(), 0)
    expect(promises.with({ key: 'checkpoint/final', value: value(1) }).map(({ key }) => key)).to.deep.equal(['checkpoint/final'])
    expect(promises.with({ key: one, value: value(1) }).map(({ key }) => key)).to.deep.equal([one, promiseCountKey])
    expect(promises.countIn([{ key: one, value: value(1) }])).to.equal(undefined)
  })
})
