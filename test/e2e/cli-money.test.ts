/** Credits, statements, rules and audits on a real local federation, with the commands that people use. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { nextFreePort } from '../../bootstrap/local-federation/ports.ts'
import { isAlive, startUp, triforce, type CommandResult, type RunningUp } from '../support/process-up.ts'
import { until } from '../support/until.ts'

/** A whole start on two busy cores. */
const START_MS_MAX = 90_000

describe('e2e: money in a local federation', function () {
  this.timeout(START_MS_MAX)
  const dir = mkdtempSync(join(tmpdir(), 'triforce-money-'))
  let up: RunningUp
  let bobKey = ''

  const run = (...words: readonly string[]): Promise<CommandResult> => triforce([...words, '--dir', dir])
  async function good(...words: readonly string[]): Promise<CommandResult> {
    const result = await run(...words)
    expect(result.code, `${words.join(' ')}: ${result.stderr}`).to.equal(0)
    return result
  }
  const jsonOf = async (...words: readonly string[]): Promise<Record<string, unknown>> => JSON.parse((await good(...words, '--json')).stdout) as Record<string, unknown>
  const pids = (): number[] => [...up.report.hubs, ...up.report.contributors].map((node) => node.pid)

  before(async () => {
    const taken = new Set<number>()
    const ports = ['--api-port', String(await nextFreePort(28_430, taken)), '--p2p-port', String(await nextFreePort(24_430, taken))]
    up = await startUp(dir, ['--ollama', 'off', ...ports])
    bobKey = String((await jsonOf('key', 'create', '--name', 'bob', '--credits', '2.5'))['apiKey'])
  })

  after(async () => {
    await up?.end('SIGKILL')
    if (up !== undefined) await until('no node is left', () => !pids().some(isAlive), 15_000)
    rmSync(dir, { recursive: true, force: true })
  })

  it('gives credits once for one reason, whichever hub is asked, and shows them at every hub', async () => {
    const granted = await good('admin', 'grant', 'bob', '10', '--source', 'workshop')
    expect(granted.stderr).to.equal('gave bob 10 credits, on the disks of two hubs\n')
    const again = await good('admin', 'grant', 'bob', '10', '--source', 'workshop', '--api', up.report.hubs[2]!.api)
    expect(again.stderr).to.equal('"workshop" was granted to bob before, and is not granted twice\n')
    for (const { api } of up.report.hubs) {
      await until('the hub knows all of it', async () => {
        const credits = await jsonOf('credits', '--api', api, '--key', bobKey)
        return credits['balance_credits'] === '12.5'
      })
    }
    expect((await good('credits', '--key', bobKey)).stdout).to.match(/^credits +12\.5$/m).and.to.match(/^quota today +10000 of 10000 cloud tokens left/m)
  })

  it('lists where they came from, in lines, as CSV and as JSON', async () => {
    const { stdout, stderr } = await good('statement', '--key', bobKey)
    const rows = stdout.trimEnd().split('\n').slice(1)
    expect(rows).to.have.length(2)
    expect(rows[0]).to.match(/\+10 +given: workshop$/)
    expect(rows[1]).to.match(/\+2\.5 +given: cli\//)
    expect(stderr).to.equal('in 12.5, out 0 credits in 2 lines\n')
    const csv = (await good('statement', '--key', bobKey, '--csv')).stdout.trimEnd().split('\r\n')
    expect([csv.length, csv[1]!.split(',').slice(1, 5)]).to.deep.equal([3, ['Grant', 'workshop', '10', '10000000']])
    const { data } = await jsonOf('statement', '--key', bobKey, '--to', '2020-01-01') as { data: unknown[] }
    expect(data).to.deep.equal([])
  })

  it('writes a signed statement that anybody can check, and finds what was changed in it', async () => {
    const file = join(dir, 'bob.json')
    await until('a checkpoint has the grants', async () => {
      const { code } = await run('statement', '--key', bobKey, '--file', file)
      if (code !== 0) return false
      const { balanceMicroCredits } = await jsonOf('statement', 'verify', file) as { balanceMicroCredits: Record<string, string> }
      return balanceMicroCredits['available'] === '12500000'
    }, 60_000)
    const verified = await good('statement', 'verify', file)
    expect(verified.stdout).to.match(/^valid: /).and.to.match(/^credits +12\.5$/m).and.to.match(/^came in +12\.5$/m)
    // The grants, and moves between hubs where there were any.
    expect(verified.stdout).to.match(/^entries +[2-9], with 0 receipts$/m)
    expect(verified.stdout).to.match(/ UTC, signed by hub-\d and hub-\d/)
    writeFileSync(file, readFileSync(file, 'utf8').replace('"available": "12500000"', '"available": "92500000"'))
    const changed = await run('statement', 'verify', file)
    expect(changed.code).to.equal(1)
    expect(changed.stderr).to.match(/^triforce: the statement is not valid: /)
  })

  it('changes a price only with the signatures of two hubs, and then everywhere', async () => {
    const [, second, third] = up.report.hubs.map(({ api }) => api)
    const file = join(dir, 'prices.json')
    const table = (await good('admin', 'price', '--show', '--json')).stdout
    expect((await good('admin', 'price', '--show')).stdout).to.match(/^prices table, revision 0 \(the plan\); credits for 1,000 tokens$/m).and.to.match(/^gpt-4o +openai +gpt-4o/m)
    writeFileSync(file, table.replace('"row": "groq"', '"row": "groq-cloud"'))
    const proposed = await good('admin', 'price', '--file', file)
    const change = /chg_[0-9a-f]{32}/.exec(proposed.stderr)?.[0] ?? ''
    expect(proposed.stderr).to.equal(`prices table, revision 1: signed by hub-1; a second hub must sign: triforce admin approve ${change} --api ${second}\n`)
    expect((await good('admin', 'price', '--show')).stdout).to.contain('revision 0')
    expect((await good('admin', 'changes', '--api', second!)).stdout).to.match(new RegExp(`${change} .*hub-1 +not yet$`, 'm'))
    const approved = await good('admin', 'approve', change, '--api', second!)
    expect(approved.stderr).to.equal('prices table, revision 1: signed by hub-1 and hub-2; it holds, and every hub uses it from now on\n')
    await until('the third hub uses it', async () => (await good('admin', 'price', '--show', '--api', third!)).stdout.includes('groq-cloud'))
    writeFileSync(file, table.replace('"unlisted": "unlisted"', '"unlisted": "nothing"'))
    const wrong = await run('admin', 'price', '--file', file)
    expect([wrong.code, wrong.stdout]).to.deep.equal([1, ''])
    expect(wrong.stderr).to.match(/^triforce: .*\n$/)
  })

  it('lets a second hub sign a grant that is above one hub\'s budget', async () => {
    const amount = '2000000'
    const refused = await run('admin', 'grant', 'bob', amount, '--source', 'prize')
    expect([refused.code, refused.stderr.includes(`triforce admin grant bob ${amount} --source "prize" --propose`)], refused.stderr).to.deep.equal([2, true])
    const proposed = await good('admin', 'grant', 'bob', amount, '--source', 'prize', '--propose')
    const change = /chg_[0-9a-f]{32}/.exec(proposed.stderr)![0]
    const early = await run('admin', 'grant', 'bob', amount, '--source', 'prize', '--approved', change)
    expect(early.code).to.equal(1)
    await good('admin', 'approve', change, '--api', up.report.hubs[1]!.api)
    await good('admin', 'grant', 'bob', amount, '--source', 'prize', '--approved', change)
    // A moment of it may be on its way to another hub.
    await until('bob has it', async () => (await jsonOf('credits', '--key', bobKey))['balance_credits'] === '2000012.5')
  })

  it('earns for the lender while it answers, to the microcredit', async () => {
    const { lender } = JSON.parse(readFileSync(join(dir, 'accounts.json'), 'utf8')) as { lender: string }
    await good('chat', '--max-tokens', '32', 'What is TriForce?')
    await until('the work is in the ledger', async () => BigInt(String((await jsonOf('credits', '--key', lender))['earned_unpaid_micro_credits'])) > 0n)
    const asked = await jsonOf('credits')
    expect([asked['earned_unpaid_micro_credits'], asked['earned_paid_micro_credits'], asked['balance_credits']]).to.deep.equal(['0', '0', '1000'])
  })

  it('earns for standing by, which is in the ledger when the contributor goes', async () => {
    const { lender } = JSON.parse(readFileSync(join(dir, 'accounts.json'), 'utf8')) as { lender: string }
    // What is earned is paid now and then: both count, or a payment between two looks would hide it.
    const earned = async (): Promise<bigint> => {
      const { earned_unpaid_micro_credits: unpaid, earned_paid_micro_credits: paid } = await jsonOf('credits', '--key', lender)
      return BigInt(String(unpaid)) + BigInt(String(paid))
    }
    const before = await earned()
    process.kill(up.report.contributors[0]!.pid, 'SIGKILL')
    // 30 % of 1 credit an hour is 83 microcredits a second; it was there for ten seconds at least.
    await until('standing by is in the ledger', async () => await earned() >= before + 800n, 60_000)
  })

  it('finds no drift between the hubs, and says so', async () => {
    const { stdout, stderr } = await good('admin', 'audit')
    expect(stderr).to.equal('no drift: 3 hubs fold their logs to the same state\n')
    expect(stdout).to.match(/^hub-1 .* none$/m).and.to.match(/^hub-3 .* none$/m)
    const { equal, hubs } = await jsonOf('admin', 'audit') as { equal: boolean; hubs: { root: string; totals_micro_credits: Record<string, string> }[] }
    expect([equal, new Set(hubs.map(({ root }) => root)).size]).to.deep.equal([true, 1])
    // 1000 for `local`, 2.5, 10 and the prize for bob.
    expect(hubs[0]!.totals_micro_credits).to.deep.include({ minted: '2001012500000', spent: '0', debt: '0' })
  })

  it('refuses to seal a hub that is there', async () => {
    const { code, stderr } = await run('admin', 'seal', 'hub-3')
    expect(code).to.equal(1)
    expect(stderr).to.match(/^triforce: that hub is connected .*\n$/)
    expect((await run('admin', 'seal', 'hub-9')).stderr).to.contain('must be one of hub-1, hub-2, hub-3')
  })
})
