import { expect } from 'chai'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCatalogue, type Catalogue } from '../../../../providers/cloud/catalogue.ts'
import { readCatalogue } from '../../../../providers/cloud/catalogue-file.ts'
import { vendorNamed } from '../../../../providers/cloud/vendors.ts'
import type { ListedModel } from '../../../../providers/cloud/wire.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { tempFolder } from '../../../support/provider-world.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'
import { until } from '../../../support/until.ts'

const HOUR_MS = 3_600_000
const vendor = vendorNamed('openai')!

describe('providers/cloud/catalogue', () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>
  let clock: ReturnType<typeof fakeClock>
  let answer: () => readonly ListedModel[]
  let asked: number
  const open: Catalogue[] = []

  beforeEach(async () => {
    folder = await tempFolder()
    clock = fakeClock()
    answer = () => [{ id: 'gpt-4o' }]
    asked = 0
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()))
    await folder.remove()
  })

  function catalogue(file = join(folder.path, 'openai.json')): Catalogue {
    const made = createCatalogue({
      clock, random: fixedRandom(), log: quietLog('clouds'),
      list: () => {
        asked += 1
        return Promise.resolve().then(answer)
      },
    }, { vendor, file })
    open.push(made)
    return made
  }
  const fails = () => { throw new TriforceError('VENDOR_FAILED', {}, { detail: 'OpenAI is out' }) }
  const ids = (one: Catalogue) => one.models().map(({ id }) => id)

  it('has well-known models before anything was read', () => {
    expect(ids(catalogue())).to.include.members(['openai/gpt-4o', 'openai/gpt-4-turbo', 'openai/text-embedding-3-small'])
  })

  it('has the vendor\'s list after the first look, and keeps it on disk', async () => {
    const one = catalogue()
    await one.start()
    expect(ids(one)).to.deep.equal(['openai/gpt-4o'])
    expect(one.health()).to.deep.equal({ ok: true, text: 'OpenAI: 1 model' })
    expect(await readCatalogue(join(folder.path, 'openai.json'))).to.deep.equal({ v: 1, readAt: clock.now(), models: [{ id: 'gpt-4o' }] })
  })

  it('has the list of the disk where the vendor cannot be reached, and says so', async () => {
    await catalogue().start()
    answer = fails
    const offline = catalogue()
    await offline.start()
    expect(ids(offline)).to.deep.equal(['openai/gpt-4o'])
    expect(offline.health()).to.deep.equal({ ok: false, text: 'OpenAI is out; 1 model of an earlier list' })
  })

  it('has the well-known models where there is neither', async () => {
    answer = fails
    const one = catalogue()
    await one.start()
    expect(ids(one).length).to.be.above(5)
    expect(one.health().text).to.include('built-in list')
  })

  it('takes nothing from a file that is damaged or too large', async () => {
    const path = join(folder.path, 'bad', 'openai.json')
    await mkdir(join(folder.path, 'bad'))
    for (const text of ['', '{', '{"v":2}', JSON.stringify({ v: 1, readAt: 0, models: [{ id: 7 }] }), `"${'x'.repeat(5 * 1024 * 1024)}"`]) {
      await writeFile(path, text)
      expect(await readCatalogue(path), text.slice(0, 20)).to.equal(undefined)
    }
  })

  it('reads again after 6 hours, and after 5 minutes where it failed; a tenth more or less', async () => {
    const one = catalogue()
    await one.start()
    clock.advance(6 * HOUR_MS - 1)
    expect(asked).to.equal(1)
    answer = fails
    clock.advance(1)
    await until('it fails', () => !one.health().ok)
    expect([asked, ids(one)]).to.deep.equal([2, ['openai/gpt-4o']])
    answer = () => [{ id: 'gpt-4o' }, { id: 'gpt-4o-mini' }]
    clock.advance(5 * 60_000)
    await until('it is back', () => one.health().ok)
    expect(ids(one)).to.deep.equal(['openai/gpt-4o', 'openai/gpt-4o-mini'])
  })

  it('tells of a change once, and not where all is as before', async () => {
    const one = catalogue()
    let changes = 0
    one.onChange(() => { changes += 1 })
    await one.start()
    expect(changes).to.equal(1)
    await one.refresh()
    expect(changes).to.equal(1)
  })

  it('is read once where two ask at the same time, and never again after close', async () => {
    const one = catalogue()
    await Promise.all([one.start(), one.refresh()])
    const before = asked
    await one.close()
    clock.advance(24 * HOUR_MS)
    expect(asked).to.equal(before)
  })
})
