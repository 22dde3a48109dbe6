import { expect } from 'chai'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { createVendorFile, vendorFilePath, type AddedVendor } from '../../../bootstrap/vendor-file.ts'
import { errorOf } from '../../support/error-of.ts'
import { tempFolder } from '../../support/provider-world.ts'

const added: AddedVendor[] = [{ vendor: 'openai', key: 'sk-very-secret-key', allowPrivate: false }, { vendor: 'mine', key: 'other-secret', baseUrl: 'http://127.0.0.1:8000/v1', family: 'openai', allowPrivate: true }]
const seed = new Uint8Array(32).fill(1)

describe('bootstrap/vendor-file', () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>
  beforeEach(async () => { folder = await tempFolder() })
  afterEach(async () => folder.remove())

  it('is empty where there is no file, and gives back what was written', async () => {
    const file = createVendorFile(folder.path, seed)
    expect(await file.read()).to.deep.equal([])
    await file.write(added)
    expect(await createVendorFile(folder.path, seed).read()).to.deep.equal(added)
  })

  it('says nothing on the disk, and is its owner\'s only', async () => {
    await createVendorFile(folder.path, seed).write(added)
    const text = await readFile(vendorFilePath(folder.path), 'utf8')
    expect(text).not.to.match(/secret|openai|mine|127\.0\.0\.1/)
    expect((await stat(vendorFilePath(folder.path))).mode & 0o777).to.equal(0o600)
  })

  it('seals the same vendors differently each time', async () => {
    const file = createVendorFile(folder.path, seed)
    await file.write(added)
    const before = await readFile(vendorFilePath(folder.path), 'utf8')
    await file.write(added)
    expect(await readFile(vendorFilePath(folder.path), 'utf8')).not.to.equal(before)
  })

  it('does not open with another key, with a flipped bit, when cut, or as other JSON', async () => {
    const file = createVendorFile(folder.path, seed)
    await file.write(added)
    expect((await errorOf(createVendorFile(folder.path, new Uint8Array(32).fill(2)).read())).code).to.equal('CONFIG_INVALID')
    const path = vendorFilePath(folder.path)
    const whole = await readFile(path, 'utf8')
    const flipped = whole.replace(/"box":"(.)/, (_, digit: string) => `"box":"${digit === '0' ? '1' : '0'}`)
    for (const text of [flipped, whole.slice(0, -20), '', '[]', '{"v":1}', '{"v":1,"nonce":"zz","box":""}']) {
      await writeFile(path, text)
      const error = await errorOf(file.read())
      expect([error.code, error.message.includes(path)], text).to.deep.equal(['CONFIG_INVALID', true])
    }
  })

  it('is refused where others may read it', async () => {
    const file = createVendorFile(folder.path, seed)
    await file.write(added)
    await chmod(vendorFilePath(folder.path), 0o644)
    expect((await errorOf(file.read())).message).to.include('chmod 600')
  })
})
