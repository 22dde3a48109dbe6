import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { expect } from 'chai'
import { readFederation } from '../../../protocol/federation.ts'
import { loadOrCreateAccountKeys } from '../../../bootstrap/local-federation/accounts.ts'
import { portOf, prepareLocalFederation } from '../../../bootstrap/local-federation/federation.ts'
import { localLayout } from '../../../bootstrap/local-federation/layout.ts'
import { isPortFree, nextFreePort } from '../../../bootstrap/local-federation/ports.ts'
import { writeFileSync } from 'node:fs'
import { temporaryFolders } from '../../support/process-folder.ts'
import { rejectionOf } from '../../support/process-rejection.ts'

describe('bootstrap/local-federation', () => {
  const folder = temporaryFolders()
  const servers: Server[] = []

  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  /** Takes a port until the end of the test; 0 takes any. */
  async function occupy(port: number, host = '127.0.0.1'): Promise<number> {
    const server = createServer()
    servers.push(server)
    server.listen(port, host)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  it('moves a busy port to the next free one, and gives none twice', async () => {
    const busy = await occupy(0)
    const taken = new Set<number>()
    const first = await nextFreePort(busy, taken)
    expect(first).to.be.greaterThan(busy)
    expect(await nextFreePort(busy, taken)).to.be.greaterThan(first)
    expect(await isPortFree(busy)).to.equal(false)
    expect(await isPortFree(first)).to.equal(true)
  })

  it('takes a port that is busy at all addresses for busy at loopback', async () => {
    expect(await isPortFree(await occupy(0, '0.0.0.0'))).to.equal(false)
  })

  it('keeps network, keys and ports from one start to the next', async () => {
    const layout = localLayout(folder(), 1)
    const first = await prepareLocalFederation(layout, new Set(), { p2pPort: 24_330, now: 1 })
    const second = await prepareLocalFederation(layout, new Set(), { p2pPort: 24_900, now: 2 })
    expect([first.written, second.written]).to.deep.equal([true, false])
    expect(second.federation).to.deep.equal(first.federation)
    expect(first.federation.kind).to.equal('local')
    expect(first.federation.network).to.match(/^local-[0-9a-f]{6}$/)
  })

  it('signs the file again when a port must move, for the same network and keys', async () => {
    const layout = localLayout(folder(), 1)
    const { federation: before } = await prepareLocalFederation(layout, new Set(), { p2pPort: 25_330, now: 1 })
    const moved = portOf(before.hubs[1]?.addresses[0])!
    await occupy(moved)
    const { federation: after, written } = await prepareLocalFederation(layout, new Set(), { p2pPort: 25_330, now: 2 })
    expect(written).to.equal(true)
    expect(after.network).to.equal(before.network)
    expect(after.hubs.map((hub) => hub.peerId)).to.deep.equal(before.hubs.map((hub) => hub.peerId))
    const ports = after.hubs.map((hub) => portOf(hub.addresses[0]))
    expect(ports[0]).to.equal(portOf(before.hubs[0]?.addresses[0]))
    expect(ports[1]).not.to.equal(moved)
    expect(new Set(ports).size).to.equal(3)
    expect(readFederation(readFileSync(layout.federationFile, 'utf8'))).to.deep.equal(after)
  })

  it('refuses to go on with a hub\'s key gone, rather than begin a second federation over the first ledger', async () => {
    const layout = localLayout(folder(), 0)
    await prepareLocalFederation(layout, new Set(), { p2pPort: 26_330, now: 1 })
    rmSync(layout.hubs[2]!.dir, { recursive: true })
    const error = await rejectionOf(prepareLocalFederation(layout, new Set(), { p2pPort: 26_330, now: 2 }))
    expect(error.code).to.equal('FEDERATION_INVALID')
    expect(error.message).to.contain('restore the folder from a backup')
  })

  it('makes the two API keys once, and refuses a damaged file of them', async () => {
    const layout = localLayout(folder(), 0)
    const keys = await loadOrCreateAccountKeys(layout.accountsFile)
    expect(await loadOrCreateAccountKeys(layout.accountsFile)).to.deep.equal(keys)
    expect(keys.local).not.to.equal(keys.lender)
    writeFileSync(layout.accountsFile, '{"v":1,"local":"tf-')
    expect((await rejectionOf(loadOrCreateAccountKeys(layout.accountsFile))).message).to.contain('is damaged')
  })
})
