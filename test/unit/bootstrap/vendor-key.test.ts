/** `triforce vendor-key` against a real bridge that keeps keys sealed on a disk. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openOwnKeyFile } from '../../../bootstrap/own-key-file.ts'
import { createOwnKeys } from '../../../node/clouds/own-keys.ts'
import { TEST_KEY } from '../../support/bridge-gateway.ts'
import { startTestBridge, type TestBridge } from '../../support/bridge-server.ts'
import { fakeClock } from '../../support/fake-clock.ts'
import { cli, type CliResult } from '../../support/process-cli.ts'
import { temporaryFolders } from '../../support/process-folder.ts'

const SECRET = 'sk-of-the-account-9876'

describe('triforce vendor-key', () => {
  const folder = temporaryFolders()
  let test: TestBridge
  let dir: string
  let env: NodeJS.ProcessEnv

  beforeEach(async () => {
    dir = folder()
    const { store, loaded } = await openOwnKeyFile(dir, new Uint8Array(32).fill(7))
    const ownKeys = createOwnKeys({ store, clock: fakeClock(Date.UTC(2026, 10, 1)) }, loaded)
    test = await startTestBridge({}, { vendorKeys: { ownKeys, isVendor: (id) => id === 'openai' || id === 'groq' } })
    env = { TRIFORCE_API: test.url, TRIFORCE_API_KEY: TEST_KEY, TRIFORCE_DIR: folder(), OPENAI_API_KEY: `${SECRET}\n` }
  })
  afterEach(() => test.stop())

  const run = (...words: string[]): Promise<CliResult> => cli(['vendor-key', ...words], env)

  it('adds a key out of the environment, lists it by its end, removes it, and shows it nowhere', async () => {
    const added = await run('add', 'openai', '--env', 'OPENAI_API_KEY')
    expect([added.code, added.stdout]).to.deep.equal([0, ''])
    expect(added.stderr).to.include('…9876 for openai')
    const listed = await run('list')
    expect(listed.stdout).to.match(/^openai +…9876 +priority +2026-11-01/m)
    await run('add', 'openai', '--env', 'OPENAI_API_KEY', '--mode', 'fallback')
    const json = JSON.parse((await run('list', '--json')).stdout) as { data: object[] }
    expect(json.data).to.deep.equal([{ object: 'vendor_key', vendor: 'openai', mode: 'fallback', last_four: '9876', added_at: Date.UTC(2026, 10, 1) }])
    const file = await readFile(join(dir, 'vendor-keys.json'), 'utf8')
    expect([added.stderr, listed.stdout, JSON.stringify(json), file, JSON.stringify(test.logLines)].join('')).to.not.include('sk-of-the')
    expect(await run('rm', 'openai')).to.deep.include({ code: 0, stdout: '' })
    expect((await run('list')).stderr).to.include('keeps no vendor key of yours')
  })

  it('says what is wrong: no such vendor, no such variable, no such key, another mode', async () => {
    for (const [words, says] of [
      [['add', 'nobody', '--env', 'OPENAI_API_KEY'], 'vendor: is no vendor that this node knows'],
      [['add', 'openai', '--env', 'NOT_SET'], '--env NOT_SET is not set in the environment'],
      [['rm', 'groq'], 'keeps no key of this account for that vendor'],
      [['add', 'openai', '--mode', 'always'], '--mode must be one of priority, fallback'],
      [['add', 'openai', SECRET], 'too many arguments'],
    ] as const) {
      const { code, stderr } = await run(...words)
      expect(code, words.join(' ')).to.not.equal(0)
      expect(stderr).to.include(says).and.to.not.include('sk-of-the')
    }
  })
})
