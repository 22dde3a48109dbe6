import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { verifySignature } from '../../../protocol/crypto.ts'
import { inspectKeyFile, keyFilePath, loadIdentity, loadOrCreateIdentity } from '../../../bootstrap/identity.ts'
import { temporaryFolders } from '../../support/process-folder.ts'
import { rejectionOf } from '../../support/process-rejection.ts'

describe('bootstrap/identity', () => {
  const folder = temporaryFolders()

  it('makes a key once and loads the same one afterwards', async () => {
    const dir = join(folder(), 'new', 'node')
    const made = await loadOrCreateIdentity(dir)
    const loaded = await loadOrCreateIdentity(dir)
    expect(loaded.peerId).to.equal(made.peerId)
    expect(made.peerId).to.match(/^12D3KooW/)
    const bytes = Buffer.from('text')
    expect(verifySignature(made.signer.publicKey, bytes, loaded.signer.sign(bytes))).to.equal(true)
  })

  it('gives its file to nobody else: 0600 in a folder of 0700', async function () {
    if (process.platform === 'win32') this.skip()
    const dir = join(folder(), 'node')
    await loadOrCreateIdentity(dir)
    expect(statSync(dir).mode & 0o777).to.equal(0o700)
    expect(statSync(keyFilePath(dir)).mode & 0o777).to.equal(0o600)
  })

  it('refuses a file that others can read, and says how to close it', async function () {
    if (process.platform === 'win32') this.skip()
    const dir = folder()
    await loadOrCreateIdentity(dir)
    for (const mode of [0o640, 0o604, 0o660]) {
      chmodSync(keyFilePath(dir), mode)
      const error = await rejectionOf(loadOrCreateIdentity(dir))
      expect(error.code).to.equal('IDENTITY_INVALID')
      expect(error.message).to.contain(`chmod 600 ${keyFilePath(dir)}`)
    }
  })

  it('makes one key where many processes start at once', async () => {
    const dir = folder()
    const identities = await Promise.all(Array.from({ length: 8 }, async () => loadOrCreateIdentity(dir)))
    expect(new Set(identities.map((identity) => identity.peerId)).size).to.equal(1)
  })

  it('gives undefined where there is no file', async () => {
    expect(await loadIdentity(folder())).to.equal(undefined)
    expect(await inspectKeyFile(folder())).to.equal(undefined)
  })

  describe('with a passphrase', () => {
    it('seals the seed, opens it again and tells the peer id without the passphrase', async () => {
      const dir = folder()
      const made = await loadOrCreateIdentity(dir, { passphrase: 'Grüße 42' })
      expect(readFileSync(keyFilePath(dir), 'utf8')).not.to.contain(Buffer.from(made.seed).toString('hex'))
      expect(await inspectKeyFile(dir)).to.deep.equal({ peerId: made.peerId, sealed: true })
      // The same letters, written by a keyboard that composes the umlauts.
      const loaded = await loadOrCreateIdentity(dir, { passphrase: 'Grüße 42'.normalize('NFD') })
      expect(loaded.seed).to.deep.equal(made.seed)
    })

    it('refuses a wrong passphrase and a missing one in words', async () => {
      const dir = folder()
      await loadOrCreateIdentity(dir, { passphrase: 'right' })
      const wrong = await rejectionOf(loadIdentity(dir, { passphrase: 'wrong' }))
      expect([wrong.code, wrong.message]).to.deep.equal([
        'IDENTITY_INVALID', `the key file ${keyFilePath(dir)} does not open: the passphrase is wrong, or the file was changed`,
      ])
      const missing = await rejectionOf(loadIdentity(dir))
      expect(missing.message).to.contain('TRIFORCE_PASSPHRASE')
    })

    it('refuses each changed byte of the sealed part', async function () {
      this.timeout(20_000)
      const dir = folder()
      await loadOrCreateIdentity(dir, { passphrase: 'right' })
      const text = readFileSync(keyFilePath(dir), 'utf8')
      for (const field of ['salt', 'nonce', 'box']) {
        const at = text.indexOf(`"${field}": "`) + field.length + 5
        const changed = text.slice(0, at) + (text[at] === '0' ? '1' : '0') + text.slice(at + 1)
        writeFileSync(keyFilePath(dir), changed)
        const error = await rejectionOf(loadIdentity(dir, { passphrase: 'right' }))
        expect(error.code, field).to.equal('IDENTITY_INVALID')
      }
    })

    it('refuses a file whose cost would take all memory', async () => {
      const dir = folder()
      await loadOrCreateIdentity(dir, { passphrase: 'right' })
      const text = readFileSync(keyFilePath(dir), 'utf8')
      writeFileSync(keyFilePath(dir), text.replace('"n": 32768', '"n": 1073741824'))
      const error = await rejectionOf(loadIdentity(dir, { passphrase: 'right' }))
      expect(error.message).to.contain('damaged at key.scrypt.n')
    })
  })

  it('refuses a plain file with a changed digit, a cut one and one that is no JSON', async () => {
    const dir = folder()
    await loadOrCreateIdentity(dir)
    const text = readFileSync(keyFilePath(dir), 'utf8')
    const seedAt = text.indexOf('"seed": "') + 9
    const digit = text[seedAt] === 'a' ? 'b' : 'a'
    for (const [bad, words] of [
      [text.slice(0, seedAt) + digit + text.slice(seedAt + 1), 'its key and its peer id differ'],
      [text.replace(/"seed": "../, '"seed": "'), 'does not hold a key'],
      [text.slice(0, 40), 'is not JSON'],
      [text.replace('"v": 1', '"v": 2'), 'damaged at v'],
      [text.replace('"plain"', '"open"'), 'damaged at key'],
    ] as const) {
      writeFileSync(keyFilePath(dir), bad)
      const error = await rejectionOf(loadOrCreateIdentity(dir))
      expect(error.code).to.equal('IDENTITY_INVALID')
      expect(error.message).to.contain(words)
    }
  })
})
