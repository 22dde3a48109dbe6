import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { readFederation } from '../../../protocol/federation.ts'
import { upStatePath, writeState, type UpReport } from '../../../bootstrap/state-files.ts'
import { cli } from '../../support/process-cli.ts'
import { temporaryFolders } from '../../support/process-folder.ts'
import { answeringServer, json, type AnsweringServer } from '../../support/process-sse-server.ts'

/** One line, from `triforce:` on, and nothing on stdout. */
function expectUsage({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }, words: string): void {
  expect(stderr).to.contain(words)
  expect(stderr.trimEnd().split('\n').length, stderr).to.equal(1)
  expect(stderr).to.match(/^triforce: /)
  expect([code, stdout]).to.deep.equal([2, ''])
}

describe('bootstrap/cli', () => {
  const folder = temporaryFolders()

  describe('wrong usage ends with 2 and one line', () => {
    for (const [words, says] of [
      ['chatt', "unknown command 'chatt' (Did you mean chat?)"],
      ['receipts lst', "unknown command 'lst' (Did you mean list?)"],
      ['up --contributers 2', "unknown option '--contributers' (Did you mean --contributors?)"],
      ['up --contributors many', '--contributors must be a whole number from 0 to 16'],
      ['up --contributors 99', '--contributors must be a whole number from 0 to 16'],
      ['up --slots none', '--slots must be a whole number from 1 to 64'],
      ['up hub', 'too many arguments'],
      ['start --mod hub', "unknown option '--mod' (Did you mean --mode?)"],
      ['start', '--mode is missing'],
      ['start --mode server', '--mode must be one of hub, contributor, consumer, hybrid'],
      ['chat --temperature hot x', '--temperature must be a number from 0 to 2'],
      ['models --api http://', '--api must be the URL of a node'],
      ['receipts show', "missing required argument 'id'"],
      ['receipts show rcpt_12', 'is no receipt id'],
      ['receipts list --limit 0', '--limit must be a whole number from 1 to 100'],
      ['key create', "required option '--name <name>' not specified"],
      ['key create --name x --credits -5', '--credits must be a positive number'],
      ['key add 12D3KooWx --account ann', '"12D3KooWx" is no peer id'],
      ['key add 12D3KooWx', "required option '--account <account>' not specified"],
      ['account make-key --name x --friend bob', '--friend must be an account: 32 hexadecimal digits'],
      ['models pull', "missing required argument 'model'"],
      ['models pull ftp://x/y.gguf', 'must be hf:owner/repo/file.gguf'],
      ['models pull http://example.org/x.gguf', 'must be an https URL'],
      ['models pull hf:o/r/x.gguf --sha256 12', '--sha256 must be 64 hexadecimal digits'],
      ['models lst', 'too many arguments'],
      ['engine install --gpu cud', 'Allowed choices are cuda, vulkan'],
      ['contributor register --gpu x', "required option '--vram <gb>' not specified"],
      ['contributor register --gpu x --vram much', '--vram must be a number from 0 to 16384'],
      ['contributor unregister reg_1', 'is no id of a machine'],
      ['contributor update reg_00000000000000000000000000000000', 'nothing to change'],
      ['federation create --network acme', 'a federation has 3 hubs and 0 were given'],
      ['federation create --network acme --hub a --hub b --hub c', '--hub a: the second part must be the peer id'],
      ['federation create --local', '--local needs three folders'],
      ['federation create --hub a --hub b --hub c', '--network is missing'],
    ] as const) {
      it(`triforce ${words}`, async () => {
        expectUsage(await cli([...words.split(' '), ...words.startsWith('federation') ? ['--out', join(folder(), 'f.json')] : []]), says)
      })
    }

    it('shows the help where no command is given', async () => {
      const { code, stderr } = await cli([])
      expect(code).to.equal(2)
      expect(stderr).to.contain('Usage: triforce')
    })
  })

  it('says in words what is wrong with a file', async () => {
    const dir = folder()
    writeFileSync(join(dir, 'file'), '')
    const cases = [
      [['start', '--mode', 'hub', '--federation', dir, '--dir', join(dir, 'hub')], `a folder is where a file should be: ${dir}`],
      [['federation', 'show', dir], `a folder is where a file should be: ${dir}`],
      [['key', 'show', '--dir', join(dir, 'file')], `a file is where a folder should be: ${join(dir, 'file')}`],
      [['up', '--dir', join(dir, 'file')], `a file is in the way: ${join(dir, 'file')}`],
      [['receipts', 'verify', join(dir, 'none')], `there is no file ${join(dir, 'none')}`],
    ] as const
    for (const [words, says] of cases) {
      const { code, stderr } = await cli([...words])
      expect([code, stderr.startsWith(`triforce: ${says}`)], stderr).to.deep.equal([1, true])
    }
  })

  it('gives up a receipt file without end', async function () {
    if (process.platform === 'win32') this.skip()
    const base = folder()
    const federation = join(base, 'federation.json')
    await cli(['federation', 'create', '--local', '--dirs', `${base}/a,${base}/b,${base}/c`, '--out', federation])
    const { code, stderr } = await cli(['receipts', 'verify', '/dev/zero', '--federation', federation])
    expect(code).to.equal(1)
    expect(stderr).to.contain('/dev/zero is larger than a receipt can be')
  })

  it('prints help and version on stdout and ends with 0', async () => {
    for (const words of [['--help'], ['up', '--help'], ['start', '--help'], ['receipts', 'verify', '--help']]) {
      const { code, stdout, stderr } = await cli(words)
      expect([code, stderr]).to.deep.equal([0, ''])
      expect(stdout).to.contain('Usage: triforce')
    }
    expect((await cli(['--version'])).stdout).to.match(/^\d+\.\d+\.\d+\n$/)
  })

  it('hides what is for benches only', async () => {
    expect((await cli(['start', '--help'])).stdout).not.to.contain('bench')
  })

  describe('finding the node', () => {
    let server: AnsweringServer | undefined
    afterEach(async () => {
      await server?.close()
      server = undefined
    })

    async function answeringModels(): Promise<AnsweringServer> {
      server = await answeringServer((_path, response) => json(response, 200, { object: 'list', data: [] }))
      return server
    }

    async function runningUp(api: string): Promise<string> {
      const dir = folder()
      const hub = { name: 'hub-1', peerId: 'p', api, p2p: '', pid: 1, dir: join(dir, 'hub-1') }
      const report: UpReport = { ready: true, apiKey: 'tf-local', model: '', hubs: [hub], contributors: [] }
      await writeState(upStatePath(dir), { v: 1, pid: 1, report })
      return dir
    }

    it('says how to start one where none runs', async () => {
      const dir = folder()
      const { code, stderr } = await cli(['models', '--dir', dir])
      expect(code).to.equal(1)
      expect(stderr).to.equal(`triforce: no node runs in ${dir}; start a federation on this machine with "triforce up", or name a node with --api URL --key KEY\n`)
    })

    it('says so where nothing answers', async () => {
      const { code, stderr } = await cli(['models', '--dir', await runningUp('http://127.0.0.1:9')])
      expect(code).to.equal(1)
      expect(stderr).to.contain('no node answers at http://127.0.0.1:9').and.contain('start one with "triforce up"')
    })

    it('takes address and key from the running federation, the environment over it, and flags over both', async () => {
      const { url, requests } = await answeringModels()
      const dir = await runningUp(url)
      await cli(['models', '--dir', dir])
      await cli(['models'], { TRIFORCE_DIR: dir, TRIFORCE_API_KEY: 'tf-env' })
      await cli(['models', '--key', 'tf-flag', '--api', `${url}/v1/`, '--dir', folder()], { TRIFORCE_API_KEY: 'tf-env' })
      expect(requests.map((request) => [request.path, request.headers.authorization])).to.deep.equal([
        ['/v1/models', 'Bearer tf-local'], ['/v1/models', 'Bearer tf-env'], ['/v1/models', 'Bearer tf-flag'],
      ])
    })

    it('never sends the local key to an address that someone typed', async () => {
      const { url, requests } = await answeringModels()
      const dir = await runningUp('http://127.0.0.1:8330')
      await cli(['models', '--dir', dir, '--api', url])
      expect(requests.map((request) => request.headers.authorization)).to.deep.equal([undefined])
    })

    it('passes on the sentence of a refusal, with the way out', async () => {
      server = await answeringServer((_path, response) => json(response, 401, { error: { message: 'the API key is not known here', code: 'invalid_api_key' } }))
      const { code, stderr } = await cli(['models', '--api', server.url, '--key', 'tf-x', '--dir', folder()])
      expect(code).to.equal(1)
      expect(stderr).to.match(/^triforce: the API key is not known here; give the key that .* with --key or TRIFORCE_API_KEY\n$/)
    })

    it('says so where something else answers', async () => {
      server = await answeringServer((_path, response) => { response.end('<html>') })
      const { code, stderr } = await cli(['models', '--api', server.url, '--dir', folder()])
      expect(code).to.equal(1)
      expect(stderr).to.contain('is not what a TriForce node sends')
    })
  })

  describe('federation create, sign and show', () => {
    it('makes one with three admins on three machines, who pass a file around and no key', async () => {
      const dirs = [folder(), folder(), folder()]
      const file = join(folder(), 'acme.json')
      const peers: string[] = []
      for (const dir of dirs) peers.push((await cli(['key', 'show', '--dir', dir])).stdout.trim())
      const hubs = peers.flatMap((peerId, index) => ['--hub', `hub-${index + 1},${peerId},/dns4/hub${index + 1}.example.org/tcp/4330`])
      const created = await cli(['federation', 'create', '--network', 'acme', ...hubs, '--out', file])
      expect([created.code, created.stdout]).to.satisfy(([code, text]: [number, string]) => code === 0 && text.split('missing').length === 4)

      expect((await cli(['federation', 'show', file])).code).to.equal(1)
      for (const [index, dir] of dirs.entries()) {
        const signed = await cli(['federation', 'sign', file, '--dir', dir])
        expect([signed.code, signed.stderr]).to.deep.equal([0, [
          'signed as hub-1; pass the file on to hub-2 and hub-3\n', 'signed as hub-2; pass the file on to hub-3\n',
          'signed as hub-3; the file is complete, give it to every node\n',
        ][index]])
      }
      const shown = await cli(['federation', 'show', file, '--json'])
      expect(shown.code).to.equal(0)
      expect(JSON.parse(shown.stdout)).to.deep.include({ complete: true })
      expect(readFederation(readFileSync(file, 'utf8')).network).to.equal('acme')
    })

    it('makes one on one machine', async () => {
      const base = folder()
      const file = join(base, 'federation.json')
      const { code, stderr } = await cli(['federation', 'create', '--local', '--dirs', `${base}/a,${base}/b,${base}/c`, '--out', file])
      expect([code, stderr]).to.deep.equal([0, `wrote ${file}\n`])
      expect(readFederation(readFileSync(file, 'utf8')).kind).to.equal('local')
      expect(existsSync(join(base, 'c', 'node.key'))).to.equal(true)
    })

    it('overwrites no file, and says so', async () => {
      const file = join(folder(), 'federation.json')
      writeFileSync(file, 'mine')
      const { code, stderr } = await cli(['federation', 'create', '--local', '--dirs', 'a,b,c', '--out', file])
      expect(code).to.equal(1)
      expect(stderr).to.contain('exists already')
      expect(readFileSync(file, 'utf8')).to.equal('mine')
    })

    it('tells a changed file from an unfinished one', async () => {
      const base = folder()
      const file = join(base, 'federation.json')
      await cli(['federation', 'create', '--local', '--dirs', `${base}/a,${base}/b,${base}/c`, '--out', file])
      writeFileSync(file, readFileSync(file, 'utf8').replace('"kind": "local"', '"kind": "public"'))
      const { code, stderr } = await cli(['federation', 'show', file])
      expect(code).to.equal(1)
      expect(stderr).to.contain('was changed after it was signed')
    })

    it('does not sign without a key', async () => {
      const { code, stderr } = await cli(['federation', 'sign', join(folder(), 'none.json'), '--dir', folder()])
      expect(code).to.equal(1)
      expect(stderr).to.contain('there is no federation file at')
    })
  })

  it('seals a new key under the passphrase of the environment, and shows it without', async () => {
    const dir = folder()
    const made = await cli(['key', 'show', '--dir', dir, '--json'], { TRIFORCE_PASSPHRASE: 'secret words' })
    expect(JSON.parse(made.stdout)).to.deep.include({ sealed: true, made: true })
    const shown = await cli(['key', 'show', '--dir', dir, '--json'])
    expect(JSON.parse(shown.stdout)).to.deep.include({ sealed: true, made: false, peerId: (JSON.parse(made.stdout) as { peerId: string }).peerId })
  })

  it('looks at a machine and fails where a key lies open', async function () {
    if (process.platform === 'win32') this.skip()
    const dir = folder()
    await cli(['key', 'show', '--dir', dir])
    const good = await cli(['doctor', '--dir', dir, '--quick', '--json'])
    const checks = JSON.parse(good.stdout) as { name: string; result: string }[]
    expect(checks.map((check) => check.name)).to.include.members(['Node', 'keys', 'ports', 'disk', 'clock', 'federation file', 'llama.cpp', 'Ollama', 'graphics', 'processor', 'earns'])
    expect(checks.find((check) => check.name === 'keys')?.result).to.equal('ok')
    const { chmodSync } = await import('node:fs')
    chmodSync(join(dir, 'node.key'), 0o644)
    const bad = await cli(['doctor', '--dir', dir, '--quick'])
    expect(bad.code).to.equal(1)
    expect(bad.stdout).to.match(/fail {2}keys .*chmod 600/)
    expect(bad.stderr).to.contain('checks failed: keys')
  })
})
