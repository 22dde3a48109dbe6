import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { withModelLock } from '../../../bootstrap/model-folder.ts'
import { startFileServer, type FileServer } from '../../support/file-server.ts'
import { startOllamaServer, type OllamaServer } from '../../support/ollama-server.ts'
import { cli, type CliResult } from '../../support/process-cli.ts'
import { temporaryFolders } from '../../support/process-folder.ts'

const model = readFileSync(fileURLToPath(new URL('../../../providers/demo-model/triforce-demo.gguf', import.meta.url)))

describe('bootstrap/commands: models pull, list, rm', () => {
  const folder = temporaryFolders()
  let server: FileServer
  let ollama: OllamaServer
  beforeEach(async () => {
    server = await startFileServer(model)
    ollama = await startOllamaServer([{ name: 'llama3.2:latest' }])
  })
  afterEach(async () => {
    await server.stop()
    await ollama.stop()
  })

  /** Against both servers and a folder of its own. */
  function commands(): { to: string; run: (...words: string[]) => Promise<CliResult> } {
    const to = join(folder(), 'models')
    return { to, run: (...words) => cli(['models', ...words, '--to', to], { OLLAMA_HOST: ollama.host, HF_ENDPOINT: server.url }) }
  }

  it('brings a file of Hugging Face, says where it is and what comes next, lists it and removes it', async () => {
    const { to, run } = commands()
    const pulled = await run('pull', 'hf:owner/repo/Small-Q8_0.gguf')
    expect(pulled.code, pulled.stderr).to.equal(0)
    expect(pulled.stdout).to.equal('')
    expect(pulled.stderr).to.match(/Small-Q8_0\.gguf: 100% of 1\.1 MB/)
    expect(pulled.stderr).to.contain(`${join(to, 'Small-Q8_0.gguf')} (1.1 MB), nobody gave a SHA-256 to compare with`)
    expect(pulled.stderr).to.contain('lend it: start the contributor again')
    expect(server.requests[0]?.path).to.equal('/owner/repo/resolve/main/Small-Q8_0.gguf')
    expect(readdirSync(to)).to.deep.equal(['Small-Q8_0.gguf'])

    const again = await run('pull', 'hf:owner/repo/Small-Q8_0.gguf', '--json')
    expect(JSON.parse(again.stdout)).to.deep.include({ known: true, model: 'Small-Q8_0' })
    const listed = (await run('list')).stdout
    expect(listed).to.match(/^Small-Q8_0 +1\.1 MB +file /m)
    expect(listed).to.match(/^llama3\.2:latest +2\.02 GB +Ollama/m)
    expect((await run('rm', 'Small-Q8_0')).code).to.equal(0)
    expect(existsSync(join(to, 'Small-Q8_0.gguf'))).to.equal(false)
  })

  it('compares with the checksum that was given, also where the file is here already', async () => {
    const { to, run } = commands()
    const wrong = await run('pull', `${server.url}/file.gguf`, '--sha256', 'AB'.repeat(32))
    expect([wrong.code, wrong.stdout]).to.deep.equal([1, ''])
    expect(wrong.stderr).to.match(/triforce: the file is not the one that was expected: .* it was removed\n$/)
    expect(readdirSync(to)).to.deep.equal([])
    await run('pull', `${server.url}/file.gguf`)
    expect((await run('pull', `${server.url}/file.gguf`, '--sha256', 'ab'.repeat(32))).stderr).to.contain('is here already, and its SHA-256 is')
  })

  it('lets nobody load or remove a model that another command is loading', async () => {
    const { to, run } = commands()
    await run('pull', `${server.url}/file.gguf`)
    await withModelLock(join(to, 'file.gguf'), async () => {
      for (const words of [['pull', `${server.url}/file.gguf`], ['rm', 'file']]) {
        const { code, stderr } = await run(...words)
        expect([code, stderr]).to.deep.equal([1, `triforce: another command is loading this model already (pid ${process.pid}); wait for it, or stop it\n`])
      }
    })
    expect((await run('rm', 'file')).code).to.equal(0)
  })

  it('shows and removes what is only in part here', async () => {
    const { to, run } = commands()
    server.behaviour.breakAfter = 600_000
    // The server answers once and then has no such file any more: what came stays.
    const pulling = run('pull', `${server.url}/file.gguf`)
    while (!existsSync(join(to, 'file.gguf.part')) || readFileSync(join(to, 'file.gguf.part')).byteLength < 300_000) await new Promise((resolve) => { setTimeout(resolve, 5) })
    server.behaviour.status = 404
    expect((await pulling).stderr).to.contain('there is no such file')
    expect((await run('list')).stdout).to.match(/^file .*in part/m)
    expect((await run('rm', 'file')).code).to.equal(0)
    expect(readdirSync(to)).to.deep.equal([])
  })

  describe('of Ollama', () => {
    it('pulls with progress and removes', async () => {
      const { run } = commands()
      const { code, stderr } = await run('pull', 'qwen2.5:7b')
      expect(code, stderr).to.equal(0)
      expect(stderr).to.match(/pulling manifest\n.*qwen2\.5:7b: 50% of 2\.0 MB\n.*qwen2\.5:7b: 100% of 2\.0 MB\n/s)
      expect(stderr).to.contain('Ollama has qwen2.5:7b')
      expect(ollama.models.map(({ name }) => name)).to.include('qwen2.5:7b')
      expect((await run('rm', 'qwen2.5:7b')).code).to.equal(0)
      expect(ollama.models.map(({ name }) => name)).to.not.include('qwen2.5:7b')
    })

    it('says what Ollama says, and never takes a broken pull for a whole one', async () => {
      const { run } = commands()
      expect((await run('pull', 'unknown:1b')).stderr).to.contain('Ollama says: pull model manifest: file does not exist')
      ollama.behaviour.failAfter = 3
      expect((await run('pull', 'qwen2.5:7b')).stderr).to.contain('max retries exceeded')
      ollama.behaviour.failAfter = undefined
      ollama.behaviour.stopAfter = 3
      const { code, stderr } = await run('pull', 'qwen2.5:7b')
      expect([code, stderr.includes('Ollama ended before the model was complete')]).to.deep.equal([1, true])
      expect((await run('rm', 'no-such')).stderr).to.contain("Ollama says: model 'no-such' not found")
    })

    it('is not there: says so, and what to do instead', async () => {
      const { run } = commands()
      await ollama.stop()
      expect((await run('pull', 'llama3.2')).stderr).to.match(/there is no Ollama at http:.*triforce models pull hf:/)
      expect((await run('list')).stderr).to.match(/no model is on this machine; .*\nno Ollama at/)
      await ollama.listen()
    })
  })
})
