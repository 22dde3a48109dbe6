import { expect } from 'chai'
import { glob, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openHubFiles } from '../../../../ledger/store/hub-files.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { toTriforceError } from '../../../../protocol/errors.ts'
import { temporaryDir } from '../../../support/ledger-world.ts'

const owner = { network: 'anchor-test', hub: 1 }
const anchor = { epoch: 1_800_000_000, no: 77, hash: new Uint8Array(32).fill(0xa5), promises: 12 }

describe('ledger/store/hub-files', function () {
  this.timeout(30_000)

  it('takes an anchor with any bit flipped for damage, and never for that of another hub', async function () {
  this.timeout(60_000)

    const dir = await temporaryDir()
    const files = await openHubFiles(dir.path, owner, { dir: undefined, boot: undefined })
    await files.writeAnchor(anchor)
    expect(await files.readAnchor()).to.deep.equal(anchor)
    const path = join(dir.path, 'anchor.json')
    const whole = await readFile(path)
    let damaged = 0
    for (let bit = 0; bit < whole.byteLength * 8; bit += 1) {
      const spoilt = Uint8Array.from(whole)
      spoilt[bit >> 3] = spoilt[bit >> 3]! ^ 1 << (bit & 7)
      await writeFile(path, spoilt)
      const found = await files.readAnchor()
      if (found === undefined) damaged += 1
      // White space, and the case of a hexadecimal digit, say nothing.
      else expect([found.epoch, found.no, toHex(found.hash), found.promises], `bit ${bit}`).to.deep.equal([anchor.epoch, anchor.no, toHex(anchor.hash), anchor.promises])
    }
    expect(damaged).to.be.greaterThan(whole.byteLength * 6)
    await dir.remove()
  })

  it('reads an anchor of before promises were counted, and takes none whose count is gone', async () => {
    const dir = await temporaryDir()
    const files = await openHubFiles(dir.path, owner, { dir: undefined, boot: undefined })
    const path = join(dir.path, 'anchor.json')
    await files.writeAnchor({ ...anchor, promises: 0 })
    expect(await readFile(path, 'utf8')).not.to.include('promises')
    expect(await files.readAnchor()).to.deep.equal({ ...anchor, promises: 0 })
    await files.writeAnchor(anchor)
    await writeFile(path, (await readFile(path, 'utf8')).replace('"promises": 12,', ''))
    expect(await files.readAnchor()).to.equal(undefined)
    await dir.remove()
  })

  it('refuses a folder of another hub or network', async () => {
    const dir = await temporaryDir()
    await (await openHubFiles(dir.path, owner, { dir: undefined, boot: undefined })).writeAnchor(anchor)
    for (const other of [{ ...owner, network: 'another' }, { ...owner, hub: 2 }]) {
      const error = await openHubFiles(dir.path, other, { dir: undefined, boot: undefined }).then(() => undefined, toTriforceError)
      expect([error?.code, error?.message]).to.deep.equal(['CONFIG_INVALID', `the ledger in ${dir.path} is that of hub 1 of the network "anchor-test"; give this hub a folder of its own`])
    }
    await dir.remove()
  })

  it('reads the marker of this run of the machine, and no spoilt one', async () => {
    const dir = await temporaryDir()
    const runtime = { dir: dir.path, boot: 'this run' }
    const files = await openHubFiles(join(dir.path, 'ledger'), owner, runtime)
    await files.writeMarker(anchor)
    expect(await files.readMarker()).to.deep.equal({ ...anchor, boot: 'this run' })
    expect(await (await openHubFiles(join(dir.path, 'ledger'), owner, { ...runtime, boot: 'the next run' })).readMarker()).to.equal(undefined)
    const [name] = await Array.fromAsync(glob('triforce-ledger-*.json', { cwd: dir.path }))
    const path = join(dir.path, name!)
    await writeFile(path, (await readFile(path, 'utf8')).replace('"no":77', '"no":78'))
    expect(await files.readMarker()).to.equal(undefined)
    await files.writeMarker({ ...anchor, no: 78 })
    expect((await files.readMarker())?.no).to.equal(78)
    files.close()
    await dir.remove()
  })
})
