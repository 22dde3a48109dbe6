import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { readGguf } from '../../../../providers/embedded/gguf.ts'
import { createDigestCache, modelIdOf, readModelFile } from '../../../../providers/embedded/model-file.ts'
import { tinyModel } from '../../../support/provider-gguf.ts'

describe('providers/embedded/gguf', () => {
  let folder: string
  const write = async (bytes: Uint8Array): Promise<string> => {
    const path = join(folder, 'model.gguf')
    await writeFile(path, bytes)
    return path
  }
  const reason = async (bytes: Uint8Array): Promise<string> => {
    const path = await write(bytes)
    return await readGguf(path).then(() => 'read', (error: unknown) => (error as Error).message)
  }

  before(async () => { folder = await mkdtemp(join(tmpdir(), 'triforce-gguf-')) })
  after(async () => { await rm(folder, { recursive: true, force: true }) })

  it('tells what a node must know of a model', async () => {
    const path = await write(tinyModel({ name: 'TriForce demo (test)', contextTokens: 640 }))
    expect(await readGguf(path)).to.deep.equal({
      name: 'TriForce demo (test)', architecture: 'llama', contextTokens: 640, parameters: 37_280, quantization: 'F32', parts: 1, embedding: false,
    })
    const file = await readModelFile(path, createDigestCache(undefined))
    expect(file).to.include({ id: 'model', name: 'model.gguf', demo: true })
  })

  it('says what is wrong with a broken file', async () => {
    const bytes = tinyModel()
    expect(await reason(Buffer.alloc(0))).to.equal('it is not a GGUF file')
    expect(await reason(Buffer.alloc(1_000, 7))).to.equal('it is not a GGUF file')
    expect(await reason(bytes.subarray(0, bytes.length - 1))).to.equal(`it is cut short: ${bytes.length - 1} of ${bytes.length} bytes are there`)
    expect(await reason(tinyModel({ without: ['general.architecture'] }))).to.equal('it does not say its architecture')
    expect(await reason(tinyModel({ without: ['llama.context_length'] }))).to.equal('it does not say how much context the model reads')
    const manyKeys = Buffer.from(bytes)
    manyKeys.writeBigUInt64LE(2n ** 40n, 16)
    expect(await reason(manyKeys)).to.equal('it claims 1099511627776 keys')
  })

  it('never throws anything but its own words, wherever the header is cut or changed', async () => {
    const bytes = tinyModel()
    const seed = 20_261_122
    let state = seed
    const next = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state % below
    }
    for (let round = 0; round < 60; round++) {
      const changed = Buffer.from(round % 2 === 0 ? bytes.subarray(0, next(8_000)) : bytes)
      // High bytes of lengths and counts are the dangerous ones.
      if (round % 2 === 1) for (let i = 0; i < 3; i++) changed[8 + next(6_000)] = 0xff
      const path = await write(changed)
      const outcome = await readGguf(path).then(() => 'GgufError', (error: unknown) => (error as Error).constructor.name)
      expect(outcome, `seed ${seed}, round ${round}`).to.equal('GgufError')
    }
  })

  it('makes a model id of any file name', () => {
    expect(modelIdOf('triforce-demo.gguf')).to.equal('triforce-demo')
    expect(modelIdOf('My Größe.Q4_K_M.GGUF')).to.equal('My-Gr-e.Q4_K_M')
    expect(modelIdOf('.gguf')).to.equal('model')
    expect(modelIdOf(`${'x'.repeat(300)}.gguf`)).to.have.length(128)
  })

  it('keeps the digest of a large file until the file changes', async () => {
    const path = join(folder, 'large.gguf')
    const cacheFile = join(folder, 'digests.json')
    const digestOf = (): Promise<string> => createDigestCache(folder, 1_000).digestOf(path)
    await writeFile(path, Buffer.alloc(1_000))
    const digest = await digestOf()
    expect(digest).to.equal('541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53')
    await writeFile(cacheFile, (await readFile(cacheFile, 'utf8')).replace(digest, 'f'.repeat(64)))
    expect(await digestOf(), 'the cache was asked').to.equal('f'.repeat(64))
    await writeFile(path, Buffer.alloc(1_001))
    expect(await digestOf(), 'the file was read again').to.match(/^(?!f{64})/)
    await writeFile(cacheFile, 'not json')
    expect(await digestOf(), 'a broken cache is an empty one').to.match(/^[0-9a-f]{64}$/)
    await writeFile(path, Buffer.alloc(999))
    await digestOf()
    expect(await readFile(cacheFile, 'utf8'), 'small files are not kept').to.not.include('"size":999,')
  })

  it('has the digest also where it cannot be kept, and where several are kept at once', async () => {
    const path = join(folder, 'unkept.gguf')
    await writeFile(path, Buffer.alloc(1_000))
    const expected = '541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53'
    // A file stands where the folder should be.
    expect(await createDigestCache(path, 1_000).digestOf(path)).to.equal(expected)
    const shared = join(folder, 'shared')
    const all = await Promise.all(Array.from({ length: 20 }, () => createDigestCache(shared, 1_000).digestOf(path)))
    expect(new Set(all)).to.deep.equal(new Set([expected]))
    expect(await readdir(shared)).to.deep.equal(['digests.json'])
  })
})
