/** Downloads of model files from a server that does what servers and lines do. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { downloadModel, DISK_SPARE_BYTES, type DownloadProgress, type ModelDownloadOptions } from '../../providers/model-download.ts'
import { startFileServer, type FileServer } from '../support/file-server.ts'
import { until } from '../support/until.ts'

const model = readFileSync(fileURLToPath(new URL('../../providers/demo-model/triforce-demo.gguf', import.meta.url)))
const sha256 = createHash('sha256').update(model).digest('hex')
const HALF = Math.floor(model.byteLength / 2)

describe('providers: download of a model', () => {
  let server: FileServer
  let folder: string
  beforeEach(async () => {
    server = await startFileServer(model)
    folder = await mkdtemp(join(tmpdir(), 'triforce-download-'))
  })
  afterEach(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const path = () => join(folder, 'models', 'demo.gguf')
  const files = () => readdirSync(join(folder, 'models')).sort()
  const load = (part: Partial<ModelDownloadOptions> = {}) => downloadModel({ url: `${server.url}/file.gguf`, path: path(), signal: AbortSignal.timeout(20_000), pauseMs: 1, ...part })
  const problem = (part: Partial<ModelDownloadOptions> = {}): Promise<string> => load(part).then(() => 'loaded', (error: Error) => error.message)

  /** Leaves exactly the first half of the file: a line that breaks would take along what the client has not read yet. */
  async function half(): Promise<string> {
    server.behaviour.stallAfter = HALF
    const stopped = new AbortController()
    const first = problem({ signal: stopped.signal })
    await until('the half is here', () => existsSync(`${path()}.part`) && statSync(`${path()}.part`).size >= HALF)
    stopped.abort(new Error('enough'))
    server.behaviour.stallAfter = undefined
    return await first
  }

  it('brings the file, whole and under its name, and tells how far it is', async () => {
    const seen: DownloadProgress[] = []
    const result = await load({ onProgress: (progress) => seen.push(progress) })
    expect(result).to.deep.equal({ bytes: model.byteLength, sha256, resumedBytes: 0, checked: 'nothing' })
    expect(readFileSync(path()).equals(model)).to.equal(true)
    expect(files()).to.deep.equal(['demo.gguf'])
    expect(seen.at(-1)).to.deep.equal({ state: 'loading', doneBytes: model.byteLength, totalBytes: model.byteLength })
  })

  it('goes on by itself where the line breaks again and again, from where it was', async () => {
    server.behaviour.breakAfter = 200_000
    expect(await load()).to.deep.include({ bytes: model.byteLength, sha256 })
    const starts = server.requests.map(({ range }) => Number(/\d+/.exec(range ?? '0')![0]))
    expect(starts[0]).to.equal(0)
    expect(starts.length).to.be.within(5, 8)
    for (const [index, start] of starts.slice(1).entries()) expect(start).to.be.greaterThan(starts[index]!)
  })

  it('goes on in a later command, and says how much was here', async () => {
    expect(await half()).to.equal('enough')
    const seen: DownloadProgress[] = []
    expect(await load({ sha256, onProgress: (progress) => seen.push(progress) })).to.deep.equal({ bytes: model.byteLength, sha256, resumedBytes: HALF, checked: 'given' })
    expect(server.requests.at(-1)?.range).to.equal(`bytes=${HALF}-`)
    expect(seen[0]?.state).to.equal('checking')
    expect(files()).to.deep.equal(['demo.gguf'])
  })

  describe('starts over, and never mixes two files', () => {
    it('where the file at the source has changed', async () => {
      await half()
      server.behaviour.tag = '"two"'
      expect(await load()).to.deep.include({ sha256 })
      expect(server.requests.length).to.equal(2)
    })

    it('where the server knows no ranges', async () => {
      await half()
      server.behaviour.ranges = false
      expect(await load()).to.deep.include({ sha256 })
    })

    it('where the server gave no tag, so that nobody can tell whether it is the same file', async () => {
      server.behaviour.tag = undefined
      await half()
      expect(await load()).to.deep.include({ sha256, resumedBytes: 0 })
      expect(server.requests.at(-1)?.range).to.equal(undefined)
    })

    it('where what is here came from another address', async () => {
      await half()
      expect(await load({ url: `${server.url}/other.gguf` })).to.deep.include({ sha256, resumedBytes: 0 })
    })

    it('where the source is shorter than what is here', async () => {
      await half()
      server.behaviour.file = model.subarray(0, HALF - 10)
      expect(await problem()).to.match(/^the file is no model/)
      expect(server.requests.map(({ range }) => range)).to.deep.equal([undefined, `bytes=${HALF}-`, undefined])
    })

    it('but not where all is here and only the name is missing', async () => {
      await half()
      for (const all of [model, Buffer.concat([model, Buffer.alloc(10)])]) {
        writeFileSync(`${path()}.part`, all)
        writeFileSync(`${path()}.part.json`, JSON.stringify({ v: 1, url: `${server.url}/file.gguf`, tag: '"one"', totalBytes: model.byteLength }))
        expect(await load()).to.deep.include({ sha256, resumedBytes: model.byteLength - 1 })
      }
    })

    it('where the server sends another part than it was asked for', async () => {
      await half()
      server.behaviour.wrongRange = true
      expect(await problem({ triesMax: 2 })).to.contain('another part of the file')
      server.behaviour.wrongRange = false
      expect(await load()).to.deep.include({ sha256 })
    })
  })

  describe('keeps nothing that is not what was wanted', () => {
    it('another checksum than the one that was given', async () => {
      expect(await problem({ sha256: 'ab'.repeat(32) })).to.match(new RegExp(`its SHA-256 is ${sha256}, and --sha256 says abab`))
      expect(files()).to.deep.equal([])
    })

    it('another checksum than the source gives', async () => {
      server.behaviour.linkedTag = `"${'cd'.repeat(32)}"`
      expect(await problem({ url: `${server.url}/redirect.gguf` })).to.contain('the source says cdcd')
      expect(files()).to.deep.equal([])
    })

    it('a page in place of a model', async () => {
      server.behaviour.file = Buffer.from('<!doctype html><title>Sign in</title>')
      expect(await problem()).to.match(/^the file is no model: /)
      expect(files()).to.deep.equal([])
    })

    it('more than the server said', async () => {
      server.behaviour.length = 'none'
      await load()
      await rm(path())
      // HTTP itself cuts at a Content-Length that is too short; what is left is not the model.
      server.behaviour.length = 1_000
      expect(await problem({ sha256, triesMax: 1 })).to.not.equal('loaded')
      expect(existsSync(path())).to.equal(false)
    })

    it('less than the server said', async () => {
      server.behaviour.length = model.byteLength + 500
      server.behaviour.breakAfter = model.byteLength - 1
      expect(await problem({ triesMax: 1, stallMsMax: 200 })).to.match(/broke off|shorter/)
      expect(existsSync(path())).to.equal(false)
    })
  })

  it('checks against the checksum that comes with the redirect, and gives a token to the first host only', async () => {
    const other = await startFileServer(model)
    try {
      server.behaviour.linkedTag = `"${sha256}"`
      server.behaviour.redirectTo = `${other.url}/blob`
      expect(await load({ url: `${server.url}/o/r/resolve/main/file.gguf`, token: 'hf_secret' })).to.deep.include({ checked: 'source', sha256 })
      expect(server.requests.map(({ authorization }) => authorization)).to.deep.equal(['Bearer hf_secret'])
      expect(other.requests.map(({ authorization }) => authorization)).to.deep.equal([undefined])
    } finally {
      await other.stop()
    }
  })

  it('loads nothing where the disk has no room for it, and says how much', async () => {
    expect(await problem({ diskFree: () => Promise.resolve(model.byteLength + DISK_SPARE_BYTES - 1) })).to.match(/^the disk has too little room: 0\.0 GB are to come, 0\.5 GB are free/)
    expect(existsSync(path())).to.equal(false)
    expect(await problem({ diskFree: () => Promise.resolve(model.byteLength + DISK_SPARE_BYTES) })).to.equal('loaded')
  })

  it('says what to do for each refusal, and tries again only where that can help', async () => {
    for (const [status, says, times] of [
      [404, 'there is no such file at 127.0.0.1', 1], [401, 'set HF_TOKEN', 1], [403, 'accept its licence', 1], [503, 'HTTP 503; try again later; what is here stays', 3], [429, 'HTTP 429', 3],
    ] as const) {
      server.behaviour.status = status
      const before = server.requests.length
      expect(await problem({ triesMax: 3 })).to.contain(says)
      expect(server.requests.length - before, String(status)).to.equal(times)
    }
    await server.stop()
    expect(await problem({ triesMax: 1 })).to.contain('cannot be reached (ECONNREFUSED)')
  })

  it('gives up a line on which nothing comes, and a circle of redirects', async () => {
    server.behaviour.stallAfter = 1_000
    expect(await problem({ stallMsMax: 300, triesMax: 0 })).to.contain('broke off')
    server.behaviour.redirectTo = '/redirect'
    expect(await problem({ url: `${server.url}/redirect` })).to.contain('circle of redirects')
    server.behaviour.redirectTo = 'file:///etc/passwd'
    expect(await problem({ url: `${server.url}/redirect` })).to.contain('redirects to file: which is refused')
  })
})
