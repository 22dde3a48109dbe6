/** What the commands about money print, against an HTTP server that answers as a node does. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { expect } from 'chai'
import { csvLine } from '../../../bootstrap/csv.ts'
import { parseTime } from '../../../bootstrap/option-parsers.ts'
import { upStatePath, writeState, type UpReport } from '../../../bootstrap/state-files.ts'
import { cli, type CliResult } from '../../support/process-cli.ts'
import { temporaryFolders } from '../../support/process-folder.ts'
import { answeringServer, json, type AnsweringServer } from '../../support/process-sse-server.ts'

type Answers = Readonly<Record<string, unknown>>

const account = '02'.repeat(16)
const change = `chg_${'cd'.repeat(16)}`
const receipt = `rcpt_${'ab'.repeat(16)}`

const credits = {
  object: 'credits', account, name: 'ann', tier: 'free', balance_micro_credits: '9007199254740993', held_micro_credits: '0', on_its_way_micro_credits: '0',
  frozen_micro_credits: '0', held_back_micro_credits: '0', debt_micro_credits: '0', earned_today_micro_credits: '0', earned_unpaid_micro_credits: '0',
  earned_paid_micro_credits: '0', quota: { day: '2026-11-24', tokens_per_day: 10_000, used_tokens: 2_500, left_tokens: 7_500 },
}

function line(seq: number, part: object = {}) {
  return {
    id: seq.toString(16).padStart(32, '0'), kind: 'Grant', at: Date.UTC(2026, 10, 1, 12), log: { hub: 1, epoch: 1, entry: seq }, amount_micro_credits: '2000000',
    held_micro_credits: '0', quota_tokens: 0, why: 'welcome', hold: null, receipt: null, ...part,
  }
}

const audit = {
  object: 'audit', root: 'ab'.repeat(32), heads: [{ hub: 0, name: 'hub-1', epoch: 1, frames: 3 }, { hub: 1, name: 'hub-2', epoch: 2, frames: 7 }],
  accounts: 2, entries: 9, totals_micro_credits: { minted: '5000000', spent: '0', available: '5000000' }, problems: [] as string[],
}

describe('bootstrap: commands about money', () => {
  const folder = temporaryFolders()
  const servers: AnsweringServer[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close()
  })

  /** `METHOD path` → body, or a function of how often it was asked; an Error body has a `status`. */
  async function nodeThat(answers: Answers): Promise<AnsweringServer> {
    const counts = new Map<string, number>()
    const server = await answeringServer((path, response: ServerResponse) => {
      const asked = server.requests.at(-1)!
      const name = `${asked.method} ${path}`
      const count = (counts.get(name) ?? 0) + 1
      counts.set(name, count)
      const found = answers[name]
      const body = typeof found === 'function' ? (found as (count: number) => unknown)(count) : found
      if (typeof body === 'string') response.end(body)
      else if (body === undefined) json(response, 404, { error: { message: `nothing at ${name}`, code: 'not_found' } })
      else json(response, typeof (body as { status?: unknown }).status === 'number' ? (body as { status: number }).status : 200, body)
    })
    servers.push(server)
    return server
  }

  /** A state folder as `up` leaves it, with these hubs. */
  async function upOf(...hubs: readonly AnsweringServer[]): Promise<string> {
    const dir = folder()
    const report: UpReport = {
      ready: true, apiKey: 'tf-local', model: '', contributors: [],
      hubs: hubs.map(({ url }, index) => ({ name: `hub-${index + 1}`, peerId: 'p', api: url, p2p: '', pid: 1, dir: join(dir, `hub-${index + 1}`) })),
    }
    for (const [index, hub] of report.hubs.entries()) {
      mkdirSync(hub.dir)
      writeFileSync(join(hub.dir, 'admin.token'), `tfa-${String(index).repeat(64)}\n`, { mode: 0o600 })
    }
    await writeState(upStatePath(dir), { v: 1, pid: 1, report })
    return dir
  }

  const accounts = { data: [{ account, name: 'ann', tier: 'free', balance_micro_credits: '0' }] }

  describe('credits', () => {
    const ask = async (part: object, ...words: string[]): Promise<CliResult> => {
      const { url } = await nodeThat({ 'GET /v1/credits': { ...credits, ...part } })
      return cli(['credits', '--api', url, '--key', 'k', '--dir', folder(), ...words])
    }

    it('shows the balance to the microcredit, the quota of today, and no line about nothing', async () => {
      const { code, stdout } = await ask({})
      expect(code).to.equal(0)
      expect(stdout.split('\n').map((text) => text.trimEnd())).to.deep.equal([
        `account       ann (${account})`, 'tier          free', 'credits       9007199254.740993',
        'quota today   7500 of 10000 cloud tokens left; it begins anew at 00:00 UTC', 'earned today  0', '',
      ])
    })

    it('says what each part that is not free means', async () => {
      const { stdout } = await ask({
        held_micro_credits: '1500000', on_its_way_micro_credits: '1', frozen_micro_credits: '2', held_back_micro_credits: '3', debt_micro_credits: '4',
        earned_today_micro_credits: '96000000', earned_unpaid_micro_credits: '500000', earned_paid_micro_credits: '100000000',
        quota: { ...credits.quota, tokens_per_day: null, left_tokens: null },
      })
      expect(stdout).to.match(/^held +1\.5 {2}\(reserved for requests that run/m)
      for (const name of ['on its way', 'frozen', 'held back', 'debt']) expect(stdout).to.match(new RegExp(`^${name} +0\\.00000`, 'm'))
      expect(stdout).to.contain('no bound on cloud tokens, 2500 used')
      expect(stdout).to.match(/^earned today +96, 0\.5 more with the next pay, 100 in all$/m)
    })

    it('gives JSON with amounts as text', async () => {
      const parsed = JSON.parse((await ask({}, '--json')).stdout) as Record<string, unknown>
      expect(parsed).to.deep.include({ name: 'ann', balance_micro_credits: '9007199254740993', balance_credits: '9007199254.740993', debt_credits: '0' })
      expect(parsed['quota']).to.deep.equal(credits.quota)
    })
  })

  describe('statement', () => {
    const pages = {
      'GET /v1/statement?limit=100': {
        data: [
          line(9, { kind: 'Settle', amount_micro_credits: '-1500000', why: 'gpt-4o', quota_tokens: 120, receipt, hold: '01'.repeat(16) }),
          line(8, { kind: 'Hold', amount_micro_credits: '0', held_micro_credits: '2000000', quota_tokens: 400, why: 'gpt-4o' }),
        ],
        next_cursor: `5.${'08'.padStart(32, '0')}`,
      },
      [`GET /v1/statement?limit=100&cursor=5.${'08'.padStart(32, '0')}`]: { data: [line(7, { why: 'a "gift", dear' }), line(6, { kind: 'Later', why: '' })], next_cursor: null },
    }
    const ask = async (answers: Answers, ...words: string[]): Promise<CliResult> => {
      const { url } = await nodeThat(answers)
      return cli(['statement', '--api', url, '--key', 'k', '--dir', folder(), ...words])
    }

    it('lists what came in and went out, why, and by which receipt, over all pages', async () => {
      const { code, stdout, stderr } = await ask(pages)
      expect(code).to.equal(0)
      const rows = stdout.trimEnd().split('\n')
      expect(rows).to.have.length(4)
      expect(rows[1]).to.match(new RegExp(`^2026-11-01 12:00:00 +-1\\.5 +120 tok +paid for gpt-4o +${receipt}$`))
      expect(rows[2]).to.contain('given: a "gift", dear')
      expect(rows[3]).to.contain('Later')
      expect(stderr).to.equal('in 4, out 1.5 credits in 3 lines\n')
    })

    it('shows moves within the account where asked, and no more lines than asked', async () => {
      expect((await ask(pages, '--all')).stdout).to.contain('reserved for gpt-4o')
      const { stdout, stderr } = await ask(pages, '--limit', '1')
      expect(stdout.trimEnd().split('\n')).to.have.length(2)
      expect(stderr).to.contain('these are the newest 1; more with --limit')
    })

    it('gives CSV that a spreadsheet reads', async () => {
      const rows = (await ask(pages, '--csv')).stdout.split('\r\n')
      expect(rows).to.have.length(5)
      expect(rows[0]).to.match(/^time_utc,kind,why,amount_credits,/)
      expect(rows[1]).to.equal(`2026-11-01T12:00:00.000Z,Settle,gpt-4o,-1.5,-1500000,0,120,${receipt},${'01'.repeat(16)},${'9'.padStart(32, '0')},1,1,9`)
      expect(rows[2]).to.contain(',"a ""gift"", dear",')
    })

    it('gives JSON, and asks for the time that was named', async () => {
      const times = `from=${Date.UTC(2026, 10, 1)}&to=${Date.UTC(2026, 10, 2, 8)}`
      const { stdout } = await ask({ [`GET /v1/statement?limit=100&${times}`]: { data: [line(1)], next_cursor: null } },
        '--from', '2026-11-01', '--to', '2026-11-02T08:00', '--json')
      const { data, complete } = JSON.parse(stdout) as { data: { amount_micro_credits: string }[]; complete: boolean }
      expect([data.length, data[0]!.amount_micro_credits, complete]).to.deep.equal([1, '2000000', true])
    })

    it('says so where there is nothing', async () => {
      const { code, stdout, stderr } = await ask({ 'GET /v1/statement?limit=100': { data: [], next_cursor: null } })
      expect([code, stdout, stderr]).to.deep.equal([0, '', 'nothing came in and nothing went out in this time\n'])
    })

    it('writes the signed file as it came', async () => {
      const file = join(folder(), 'statement.json')
      const { code, stderr } = await ask({ 'GET /v1/statement/file': '{ "exactly":  1 }\n' }, '--file', file)
      expect([code, readFileSync(file, 'utf8')]).to.deep.equal([0, '{ "exactly":  1 }\n'])
      expect(stderr).to.equal(`wrote ${file}; check it anywhere with: triforce statement verify ${file} --federation FILE\n`)
    })

    for (const [words, says] of [
      ['--from yesterday', '--from must be a day or a time in UTC, such as 2026-11-01'],
      ['--from 2026-02-30', '--from must be a day or a time in UTC'],
      ['--from 2026-11-02 --to 2026-11-02', '--to must be later than --from'],
      ['--csv --json', 'give one of them'],
      ['--file x --csv', '--file writes the whole signed statement'],
    ] as const) {
      it(`refuses ${words}`, async () => {
        const { code, stdout, stderr } = await ask({}, ...words.split(' '))
        expect([code, stdout]).to.deep.equal([2, ''])
        expect(stderr).to.contain(says)
      })
    }
  })

  describe('admin', () => {
    it('grants at the first hub with its token, and says where it stands', async () => {
      const hub = await nodeThat({ 'GET /v1/admin/accounts': accounts, 'POST /v1/admin/grants': (count: number) => ({ ok: true, hub: 'hub-2', durability: 'replicated', known: count > 1 }) })
      const dir = await upOf(hub)
      const first = await cli(['admin', 'grant', 'ann', '2.5', '--source', 'order-1', '--dir', dir])
      expect([first.code, first.stderr]).to.deep.equal([0, 'gave ann 2.5 credits, on the disks of two hubs\n'])
      const again = await cli(['admin', 'grant', account, '2.5', '--source', 'order-1', '--dir', dir])
      expect([again.code, again.stderr]).to.deep.equal([0, '"order-1" was granted to ann before, and is not granted twice\n'])
      expect(hub.requests.map((request) => request.headers.authorization)).to.deep.equal(Array.from({ length: 4 }, () => `Bearer tfa-${'0'.repeat(64)}`))
      expect(JSON.parse(hub.requests[1]!.body)).to.deep.equal({ account, amount_micro_credits: '2500000', source: 'order-1' })
    })

    it('tells the way to a second signature where a grant is above the budget, and goes it', async () => {
      const proposed = { id: change, created_at: 5, signed_by: ['hub-1'], holds: false, type: 'grant', account, amount_micro_credits: '9000000', source: 'big' }
      const hub1 = await nodeThat({
        'GET /v1/admin/accounts': accounts, 'POST /v1/admin/changes': proposed,
        'POST /v1/admin/grants': { status: 403, error: { message: 'the budget of today is used up', code: 'budget_exceeded' } },
      })
      const hub2 = await nodeThat({ [`POST /v1/admin/changes/${change}/approve`]: { ...proposed, signed_by: ['hub-1', 'hub-2'], holds: true } })
      const dir = await upOf(hub1, hub2)
      const refused = await cli(['admin', 'grant', 'ann', '9', '--source', 'big', '--dir', dir])
      expect([refused.code, refused.stderr]).to.deep.equal([2,
        'triforce: the budget of today is used up; for more a second hub must sign: triforce admin grant ann 9 --source "big" --propose\n'])
      const first = await cli(['admin', 'grant', 'ann', '9', '--source', 'big', '--propose', '--dir', dir])
      expect(first.stderr).to.equal(`9 credits for ${account} (big): signed by hub-1; a second hub must sign: triforce admin approve ${change} --api ${hub2.url}\n`)
      const second = await cli(['admin', 'approve', change, '--api', hub2.url, '--dir', dir])
      expect(second.stderr).to.equal(`9 credits for ${account} (big): signed by hub-1 and hub-2; give it now: `
        + `triforce admin grant ${account} 9 --source "big" --approved ${change}\n`)
      expect(hub2.requests.map((request) => request.headers.authorization)).to.deep.equal([`Bearer tfa-${'1'.repeat(64)}`])
    })

    it('shows a table in credits, and signs a changed one as the next revision', async () => {
      const content = { rows: [{ row: 'groq', providers: ['groq'], promptMicroCredits: '1000000' }, { row: 'unlisted', providers: ['unlisted'], promptMicroCredits: '25000000' }], unlisted: 'unlisted' }
      const hub = await nodeThat({
        'GET /v1/admin/tables/prices': { object: 'table', table: 'prices', rev: 3, content },
        'POST /v1/admin/changes': { id: change, created_at: 5, signed_by: ['hub-1'], holds: false, type: 'table', table: 'prices', rev: 4, content },
      })
      const dir = await upOf(hub)
      const shown = await cli(['admin', 'price', '--show', '--dir', dir])
      expect(shown.stdout).to.match(/^prices table, revision 3; credits for 1,000 tokens\n\nROW +PROVIDERS +PROMPT CREDITS\ngroq +groq +1\nunlisted +unlisted +25\n\nunlisted: unlisted\n$/)
      const file = join(folder(), 'prices.json')
      writeFileSync(file, (await cli(['admin', 'price', '--show', '--json', '--dir', dir])).stdout.replace('25000000', '30000000'))
      const signed = await cli(['admin', 'price', '--file', file, '--dir', dir])
      expect([signed.code, signed.stderr]).to.deep.equal([0,
        `prices table, revision 4: signed by hub-1; a second hub must sign: triforce admin approve ${change} --api URL_OF_ANOTHER_HUB\n`])
      const body = JSON.parse(hub.requests.at(-1)!.body) as { rev: number; content: typeof content }
      expect([body.rev, body.content.rows[1]!.promptMicroCredits, body.content.unlisted]).to.deep.equal([4, '30000000', 'unlisted'])
      writeFileSync(file, 'prices')
      const bad = await cli(['admin', 'price', '--file', file, '--dir', dir])
      expect([bad.code, bad.stderr.startsWith(`triforce: ${file} is not a table in JSON`)]).to.deep.equal([1, true])
    })

    it('lists changes with who signed them', async () => {
      const data = [{ id: change, created_at: 0, signed_by: ['hub-1', 'hub-3'], holds: true, type: 'table', table: 'tiers', rev: 1, content: {} }]
      const dir = await upOf(await nodeThat({ 'GET /v1/admin/changes': { data } }))
      expect((await cli(['admin', 'changes', '--dir', dir])).stdout).to.match(new RegExp(`${change} +1970-01-01 00:00 +tiers, revision 1 +hub-1, hub-3 +yes\n$`))
    })

    it('seals, and says what comes next', async () => {
      const hub = await nodeThat({ 'POST /v1/admin/seals': { ok: true, hub: 'hub-3' } })
      const { code, stderr } = await cli(['admin', 'seal', 'hub-3', '--dir', await upOf(hub)])
      expect([code, stderr]).to.deep.equal([0, 'the log of hub-3 is sealed and another hub clears for its accounts; when hub-3 comes back it begins a new log by itself\n'])
      expect(JSON.parse(hub.requests[0]!.body)).to.deep.equal({ hub: 'hub-3', forced: false })
    })

    describe('audit', () => {
      const hubThat = (name: string, part: object = {}) => nodeThat({ 'POST /v1/admin/audit': { ...audit, hub: name, ...part } })

      it('asks every hub for the same frames and finds no drift', async () => {
        const lagging = await nodeThat({
          'POST /v1/admin/audit': (count: number) => count === 1 ? { status: 404, error: { message: 'frames are not here yet', code: 'not_found' } } : { ...audit, hub: 'hub-2' },
        })
        const hubs = [await hubThat('hub-1'), lagging, await hubThat('hub-3')]
        const { code, stdout, stderr } = await cli(['admin', 'audit', '--dir', await upOf(...hubs)])
        expect([code, stderr]).to.deep.equal([0, 'no drift: 3 hubs fold their logs to the same state\n'])
        expect(stdout).to.match(/^hub-3 +2 +9 +abababababababab +none$/m).and.to.match(/^minted +5$/m)
        expect(JSON.parse(hubs[0]!.requests[0]!.body)).to.deep.equal({})
        for (const hub of hubs.slice(1)) {
          expect(JSON.parse(hub.requests.at(-1)!.body)).to.deep.equal({ heads: [{ hub: 0, epoch: 1, frames: 3 }, { hub: 1, epoch: 2, frames: 7 }] })
        }
      })

      it('ends with 1 where roots differ, a rule is broken, or a hub does not answer', async () => {
        const drift = await cli(['admin', 'audit', '--json', '--dir', await upOf(await hubThat('hub-1'), await hubThat('hub-2', { root: 'cd'.repeat(32) }))])
        expect([drift.code, (JSON.parse(drift.stdout) as { equal: boolean }).equal]).to.deep.equal([1, false])
        expect(drift.stderr).to.contain('to different states (hub-1: abababababababab, hub-2: cdcdcdcdcdcdcdcd)')
        const broken = await cli(['admin', 'audit', '--dir', await upOf(await hubThat('hub-1'), await hubThat('hub-2', { problems: ['the account x is negative'] }))])
        expect([broken.code, broken.stderr]).to.deep.equal([1,
          'triforce: the ledger of hub-2 breaks a rule: the account x is negative; keep the folders of all hubs and stop spending before anything is repaired\n'])
        const gone = await nodeThat({})
        const dir = await upOf(await hubThat('hub-1'), gone)
        await gone.close()
        servers.splice(servers.indexOf(gone), 1)
        const silent = await cli(['admin', 'audit', '--dir', dir])
        expect([silent.code, silent.stderr.startsWith('triforce: not all hubs were compared: no node answers at')]).to.deep.equal([1, true])
      })

      it('compares hubs on different machines by the frames that one of them printed', async () => {
        const hub = await hubThat('hub-1')
        const { stderr } = await cli(['admin', 'audit', '--api', hub.url, '--dir', folder()], { TRIFORCE_ADMIN_TOKEN: 'tfa-x' })
        expect(stderr).to.equal('compare with the other hubs, there: triforce admin audit --at 0/1:3,1/2:7\n')
        await cli(['admin', 'audit', '--api', hub.url, '--at', '0/1:3,1/2:7', '--dir', folder()], { TRIFORCE_ADMIN_TOKEN: 'tfa-x' })
        expect(JSON.parse(hub.requests.at(-1)!.body)).to.deep.equal({ heads: [{ hub: 0, epoch: 1, frames: 3 }, { hub: 1, epoch: 2, frames: 7 }] })
        expect(hub.requests.at(-1)!.headers.authorization).to.equal('Bearer tfa-x')
      })
    })

    for (const [words, says] of [
      ['grant ann', "missing required argument 'amount'"],
      ['grant ann -- -5', '<amount> must be a positive number'],
      ['grant nobody 5', 'no account is called "nobody"'],
      ['grant ann 5 --propose --approved chg_x', 'give one of them'],
      ['approve chg_12', '"chg_12" is no change'],
      ['price', 'give --show, or --file TABLE.json'],
      ['audit --at 3/1:2', '--at must be what another audit printed'],
      ['changes --api http://127.0.0.1:9', 'no admin token for http://127.0.0.1:9: run this on the hub'],
    ] as const) {
      it(`refuses ${words}`, async () => {
        const dir = await upOf(await nodeThat({ 'GET /v1/admin/accounts': accounts }))
        const all = ['admin', ...words.split(' ')]
        all.splice(2, 0, '--dir', dir)
        const { code, stdout, stderr } = await cli(all)
        expect([code, stdout], stderr).to.deep.equal([2, ''])
        expect(stderr).to.contain(says).and.to.match(/^triforce: .*\n$/)
      })
    }

    it('says so where no hub runs', async () => {
      const dir = folder()
      const { code, stderr } = await cli(['admin', 'changes', '--dir', dir])
      expect([code, stderr]).to.deep.equal([1, `triforce: no hub runs in ${dir}; start it first, or name its state folder with --dir\n`])
    })
  })

  it('writes fields as RFC 4180 says, and none that a spreadsheet runs', () => {
    expect(csvLine(['a', 'b,c', 'd"e', 'f\ng', '', '-1.5', '=1+1', '-x', '@x'])).to.equal('a,"b,c","d""e","f\ng",,-1.5,\'=1+1,\'-x,\'@x\r\n')
  })

  it('reads days and times of UTC', () => {
    expect(parseTime('2026-11-01')).to.equal(Date.UTC(2026, 10, 1))
    expect(parseTime('2026-11-01T10:30')).to.equal(Date.UTC(2026, 10, 1, 10, 30))
    expect(parseTime('2026-11-01T10:30:05.5Z')).to.equal(Date.UTC(2026, 10, 1, 10, 30, 5, 500))
    for (const text of ['', '2026', '2026-13-01', '2026-02-29', '2026-11-01T25:00', '2026-11-01T10:00+02:00', '1e9']) expect(() => parseTime(text), text).to.throw(RangeError)
  })
})
