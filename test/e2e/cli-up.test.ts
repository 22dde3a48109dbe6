import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { nextFreePort } from '../../bootstrap/local-federation/ports.ts'
import { apiKeyFromSeed } from '../../protocol/api-key.ts'
import { fromHex } from '../../protocol/bytes.ts'
import { upStatePath, upStateSchema, type UpReport } from '../../bootstrap/state-files.ts'
import { isAlive, startUp, triforce, type CommandResult, type RunningUp } from '../support/process-up.ts'
import { until } from '../support/until.ts'

/** A whole start on two busy cores. */
const START_MS_MAX = 90_000

function pidsOf({ hubs, contributors }: UpReport): number[] {
  return [...hubs, ...contributors].map((node) => node.pid)
}

describe('e2e: triforce up and the commands around it', function () {
  this.timeout(START_MS_MAX)
  const dir = mkdtempSync(join(tmpdir(), 'triforce-up-'))
  let ports: string[] = []
  let up: RunningUp
  let receipt = ''

  async function start(): Promise<RunningUp> {
    return startUp(dir, ['--ollama', 'off', ...ports])
  }

  async function run(words: readonly string[], input?: string): Promise<CommandResult> {
    return triforce([...words, '--dir', dir], input === undefined ? {} : { input })
  }

  before(async () => {
    const taken = new Set<number>()
    ports = ['--api-port', String(await nextFreePort(28_330, taken)), '--p2p-port', String(await nextFreePort(24_330, taken))]
    up = await start()
  })

  after(async () => {
    await up?.end('SIGKILL')
    if (up !== undefined) await until('no node is left', () => !pidsOf(up.report).some(isAlive), 15_000)
    rmSync(dir, { recursive: true, force: true })
  })

  it('prints exactly one line, with exactly these fields', () => {
    expect(up.stdout()).to.equal(`${up.line}\n`)
    const report = JSON.parse(up.line) as Record<string, unknown> & UpReport
    expect(Object.keys(report)).to.deep.equal(['ready', 'apiKey', 'model', 'hubs', 'contributors'])
    expect(report.hubs.map((hub) => Object.keys(hub))).to.deep.equal(Array.from({ length: 3 }, () => ['name', 'peerId', 'api', 'p2p', 'pid', 'dir']))
    expect(report.contributors.map((node) => Object.keys(node))).to.deep.equal([['name', 'peerId', 'pid', 'dir', 'models']])
    expect(report.model).to.equal('triforce-demo')
    expect(report.contributors[0]?.models).to.include('triforce-demo')
    expect(new Set(pidsOf(report)).size).to.equal(4)
    expect(pidsOf(report).every(isAlive)).to.equal(true)
  })

  it('answers, and closes with one line that says how', async () => {
    const { code, stdout, stderr } = await run(['chat', '--max-tokens', '16', 'What is TriForce?'])
    expect([code, stdout.trim() === '']).to.deep.equal([0, false])
    const line = stderr.trimEnd().split('\n').at(-1)!
    const match = /^contributor-1 via hub-1, \d+\+\d+ tokens, 0 credits, (rcpt_[0-9a-f]{32})/.exec(line)
    expect(match, line).not.to.equal(null)
    receipt = match![1]!
  })

  it('answers what comes through a pipe, as JSON', async () => {
    const { code, stdout } = await run(['chat', '--json', '--max-tokens', '4'], 'What is a hub?\n')
    expect(code).to.equal(0)
    expect(JSON.parse(stdout)).to.have.all.keys('model', 'answer', 'finish', 'usage', 'served')
  })

  it('shows one receipt, byte for byte the same on three hubs, and verifies its file offline', async () => {
    const texts: string[] = []
    for (const hub of up.report.hubs) {
      const { code, stdout } = await run(['receipts', 'show', receipt, '--json', '--api', hub.api])
      expect(code).to.equal(0)
      texts.push(stdout)
    }
    expect(new Set(texts).size).to.equal(1)
    const file = join(dir, 'receipt.json')
    writeFileSync(file, texts[0]!)
    const good = await run(['receipts', 'verify', file])
    expect(good.code).to.equal(0)
    expect(good.stdout).to.contain(receipt)
    writeFileSync(file, texts[0]!.replace('"completionTokens": ', '"completionTokens": 1'))
    const bad = await run(['receipts', 'verify', file])
    expect(bad.code).to.equal(1)
    expect(bad.stderr).to.match(/^triforce: the receipt is not valid: line \d+ says `"completionTokens": 1/)
  })

  it('lists models, receipts, accounts and the state of each hub', async () => {
    expect((await run(['models'])).stdout).to.contain('triforce-demo')
    expect((await run(['receipts', 'list'])).stdout).to.contain(receipt)
    const status = await run(['status'])
    expect(status.stdout).to.match(/hub-1 .*\nhub-2 .*\nhub-3 /)
    const accounts = await run(['key', 'list', '--json'])
    expect((JSON.parse(accounts.stdout) as { name: string }[]).map((account) => account.name)).to.have.members(['local', 'lender'])
    expect((await run(['doctor'])).code).to.equal(0)
  })

  it('has its contributor registered at all three hubs, which say what it earns and why', async () => {
    const { lender } = JSON.parse(readFileSync(join(dir, 'accounts.json'), 'utf8')) as { lender: string }
    const ask = (api: string, path: string, key: string) => fetch(`${api}${path}`, { headers: { authorization: `Bearer ${key}` } })
    for (const hub of up.report.hubs) {
      const { data } = await (await ask(hub.api, '/v1/contributor/registrations', lender)).json() as { data: { node: string; account_name: string; connected: boolean }[] }
      expect(data.map(({ node, account_name: account, connected }) => [node, account, connected]), hub.name).to.deep.equal([[up.report.contributors[0]!.peerId, 'lender', true]])
    }
    const status = (await run(['status'])).stdout
    expect(status).to.match(/\ncontributor-1\nIt is connected to 3 of 3 hubs/)
    expect(status).to.match(/contributor-1: .* is class \S+ and earns \S+ credits? an hour/)
    expect(status).to.match(/hub hub-\d placed \d+ requests? for its models, and \d+ came to contributor-1/)
    // The key of the machine is no API key: it cannot look into the account, let alone spend.
    const { key } = JSON.parse(readFileSync(join(dir, 'contributor-1', 'node.key'), 'utf8')) as { key: { seed: string } }
    expect((await ask(up.report.hubs[0]!.api, '/v1/credits', apiKeyFromSeed(fromHex(key.seed)!))).status).to.equal(401)
  })

  it('says that the only machine is paused, to a question and to who asks for the way, and goes on when it is resumed', async () => {
    expect((await run(['pause'])).stdout).to.include('It does not lend now: it is paused.')
    await until('the hub hears of it', async () => (await run(['models'])).stderr.includes('no peer offers a model now'), 20_000, 200)
    for (const words of [['chat', 'hi'], ['chat', '--model', 'triforce-demo', 'hi']]) {
      const { code, stderr } = await run(words)
      expect([code, stderr.trimEnd().split('\n').at(-1)]).to.deep.equal([1, 'triforce: the only host of "triforce-demo" does not lend now: contributor-1 is paused; "triforce resume" on that machine lends it again'])
    }
    expect((await run(['route', '--model', 'triforce-demo', '--explain'])).stdout).to.match(/contributor-1 +triforce-demo +paused/)
    const wrong = await run(['contributor', 'set', 'hours', 'nights'])
    expect([wrong.code, wrong.stderr]).to.deep.equal([2, 'triforce: hours must be two times of the day, such as 18:00-02:00\n'])
    expect((await run(['resume'])).stdout).to.include('It lends now')
    await until('it answers again', async () => (await run(['chat', '--max-tokens', '4', 'hi'])).code === 0, 20_000, 200)
  })

  it('makes a key for a new account, and makes it worthless again', async () => {
    const made = await run(['key', 'create', '--name', 'alice', '--credits', '2.5', '--json'])
    const { apiKey } = JSON.parse(made.stdout) as { apiKey: string }
    const credits = await run(['credits', '--json', '--key', apiKey])
    expect(JSON.parse(credits.stdout)).to.deep.include({ name: 'alice', tier: 'free', balance_credits: '2.5' })
    expect((await run(['key', 'revoke', apiKey])).code).to.equal(0)
    // The bridge of hub-1 may remember the key for some seconds; that of hub-3 has never seen it.
    await until('hub-3 knows that it is revoked', async () => {
      return (await run(['credits', '--key', apiKey, '--api', up.report.hubs[2]!.api])).code === 1
    }, 20_000)
  })

  it('refuses a second one in the same folder, and tells the pid', async () => {
    const second = await triforce(['up', '--dir', dir])
    expect(second.code).to.equal(1)
    expect(second.stderr).to.contain(`a federation runs in ${dir} already (pid ${up.process.pid})`)
  })

  it('starts a hub again that was killed', async () => {
    process.kill(up.report.hubs[1]!.pid, 'SIGKILL')
    await until('hub-2 is back', () => up.stderr().includes('hub-2 is back'), 40_000)
    await until('its new pid is written down', () => {
      const state = upStateSchema.parse(JSON.parse(readFileSync(upStatePath(dir), 'utf8')))
      return isAlive(state.report.hubs[1]!.pid) && state.report.hubs[1]!.pid !== up.report.hubs[1]!.pid
    })
    expect((await run(['credits', '--api', up.report.hubs[1]!.api])).stdout).to.contain('1000')
  })

  it('ends on Ctrl-C with 0 and leaves no process and no state of a running one', async () => {
    const state = upStateSchema.parse(JSON.parse(readFileSync(upStatePath(dir), 'utf8')))
    expect(await up.end('SIGINT')).to.equal(0)
    expect(pidsOf(state.report).filter(isAlive)).to.deep.equal([])
    expect(existsSync(upStatePath(dir))).to.equal(false)
    expect(existsSync(join(dir, 'up.lock'))).to.equal(false)
    expect(existsSync(join(dir, 'hub-1', 'node.lock'))).to.equal(false)
  })

  it('goes on with the same key, balance and receipts', async () => {
    const before = up.report
    up = await start()
    expect(up.report.apiKey).to.equal(before.apiKey)
    expect(up.report.hubs.map((hub) => hub.peerId)).to.deep.equal(before.hubs.map((hub) => hub.peerId))
    const credits = await run(['credits', '--json'])
    expect(JSON.parse(credits.stdout)).to.deep.include({ name: 'local', balance_credits: '1000' })
    expect((await run(['receipts', 'list'])).stdout).to.contain(receipt)
  })

  it('leaves no node behind when it is killed with SIGKILL', async () => {
    await up.end('SIGKILL')
    await until('all nodes end', () => !pidsOf(up.report).some(isAlive), 15_000)
  })
})
