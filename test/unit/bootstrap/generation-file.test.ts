import { appendFile, mkdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openGenerationFile } from '../../../bootstrap/generation-file.ts'
import { createGenerations } from '../../../node/bridge/generations.ts'
import { testServed } from '../../support/bridge-gateway.ts'
import { fakeClock } from '../../support/fake-clock.ts'
import { temporaryFolders } from '../../support/process-folder.ts'
import { quietLog } from '../../support/quiet-log.ts'

const me = new Uint8Array(16).fill(1)
const idOf = (index: number) => index.toString(16).padStart(24, '0')

describe('bootstrap/generation-file', () => {
  const folder = temporaryFolders()

  async function start(dir: string, options: { readonly linesMax?: number } = {}) {
    const clock = fakeClock()
    const file = await openGenerationFile({ clock, log: quietLog() }, { dir, ...options })
    const generations = createGenerations({ clock, store: file })
    const begin = (index: number) => generations.start({ id: idOf(index), account: me, model: 'demo', stream: false, path: '/v1/embeddings', retryCount: 0 })
    return { clock, file, generations, begin }
  }

  it('brings back after a restart what ended, and to nobody else', async () => {
    const dir = folder()
    const before = await start(dir)
    const done = before.begin(1)
    done.finished('stop', { promptTokens: 3, completionTokens: 4 })
    done.settled(testServed)
    before.begin(2).failed('NO_HOST')
    before.begin(3)
    const shown = before.generations.find(me, idOf(1))
    await before.file.close()
    expect((await stat(join(dir, 'generations.jsonl'))).mode & 0o077).to.equal(0)

    const { generations } = await start(dir)
    expect(generations.find(me, idOf(1))).to.deep.equal(shown)
    expect(generations.find(me, idOf(2))).to.include({ state: 'failed', error: 'NO_HOST' })
    expect(() => generations.find(me, idOf(3)), 'it never ended').to.throw('knows no such generation')
    expect(() => generations.find(new Uint8Array(16).fill(2), idOf(1))).to.throw('knows no such generation')
  })

  it('writes a batch after a second and not one millisecond earlier', async () => {
    const dir = folder()
    const { clock, begin, file } = await start(dir)
    for (let index = 0; index < 5; index += 1) begin(index).failed('NO_HOST')
    clock.advance(999)
    expect(await readFile(join(dir, 'generations.jsonl'), 'utf8').catch(() => 'none')).to.equal('none')
    clock.advance(1)
    await file.close()
    expect((await readFile(join(dir, 'generations.jsonl'), 'utf8')).trimEnd().split('\n')).to.have.length(5)
  })

  it('keeps two files at most, and the newest of them', async () => {
    const dir = folder()
    for (let round = 0; round < 7; round += 1) {
      const { begin, file } = await start(dir, { linesMax: 2 })
      begin(round).failed('NO_HOST')
      await file.close()
    }
    const { file } = await start(dir, { linesMax: 2 })
    expect(file.loaded.map(({ id }) => id)).to.deep.equal([4, 5, 6].map(idOf))
  })

  it('leaves out lines that do not read, and serves without a disk', async () => {
    const dir = folder()
    const first = await start(dir)
    first.begin(1).failed('NO_HOST')
    await first.file.close()
    await appendFile(join(dir, 'generations.jsonl'), '{"id":"half\nnull\n{"id":"x","account":"short","body":{}}\n')
    const second = await start(dir)
    expect(second.file.loaded.map(({ id }) => id)).to.deep.equal([idOf(1)])

    const broken = folder()
    await mkdir(join(broken, 'generations.jsonl'))
    const third = await start(broken)
    third.begin(1).failed('NO_HOST')
    await third.file.close()
    expect(third.generations.find(me, idOf(1))).to.include({ state: 'failed' })
  })
})
