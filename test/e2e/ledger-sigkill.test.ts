/** Three hubs as real processes under load, killed at random moments: nothing acknowledged may be lost anywhere. */
import { expect } from 'chai'
import { join } from 'node:path'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { freePorts } from '../support/free-ports.ts'
import { startHubProcess, type HubProcess } from '../support/ledger-processes.ts'
import { openTestLedger, temporaryDir, testWorld } from '../support/ledger-world.ts'
import { seededUnit } from '../support/seeded-random.ts'
import { times } from '../support/thorough.ts'
import { until } from '../support/until.ts'
import { SEED } from '../support/seed.ts'

const ROUNDS = times(5, 20)

describe('ledger: SIGKILL under load', () => {
  it(`keeps every acknowledged receipt on all hubs through ${ROUNDS} rounds of SIGKILL`, async function () {
    this.timeout(times(180_000, 900_000))
    const seed = SEED
    const random = seededUnit(seed)
    const world = testWorld()
    const dir = await temporaryDir()
    const ports = await freePorts(3)
    const acked = new Map<string, string>()
    const problems: string[] = []
    const start = (hub: number) => startHubProcess({
      hub, dir: join(dir.path, String(hub)), federation: world.text, seed: toHex(world.hubs[hub]!.seed), ports, workers: 8,
    }, (id, durability) => acked.set(id, durability), (problem) => problems.push(problem))

    const hubs: HubProcess[] = [0, 1, 2].map(start)
    try {
      await Promise.all(hubs.map((hub) => hub.writable()))
      for (let round = 0; round < ROUNDS; round += 1) {
        const before = acked.size
        await until('receipts are acknowledged', () => acked.size > before + 10, 20_000)
        await new Promise((resolve) => setTimeout(resolve, Math.floor(random() * 120)))
        const victims = random() < 0.25 ? [0, 1, 2] : [Math.floor(random() * 3)]
        await Promise.all(victims.map((hub) => hubs[hub]!.kill()))
        for (const hub of victims) hubs[hub] = start(hub)
        await Promise.all(victims.map((hub) => hubs[hub]!.writable()))
        expect(problems, `round ${round}`).to.deep.equal([])
      }
      await Promise.all(hubs.map((hub) => hub.stopLoad()))
      await until('the heads of all hubs are equal', async () => {
        const [first, ...others] = (await Promise.all(hubs.map((hub) => hub.heads()))).map((heads) => JSON.stringify(heads))
        return others.every((other) => other === first)
      }, 20_000)
      await Promise.all(hubs.map((hub) => hub.close()))

      for (const hub of [0, 1, 2]) {
        const ledger = await openTestLedger(world, hub, join(dir.path, String(hub)))
        const missing = []
        for (const id of acked.keys()) if (await ledger.receipt(fromHex(id)!) === undefined) missing.push(id)
        // A kill is no lost disk: every hub has gone on with its first log.
        expect(ledger.heads().length, 'logs').to.equal(3)
        await ledger.close()
        expect(missing, `missing at hub ${hub}`).to.deep.equal([])
      }
      expect(problems).to.deep.equal([])
      const replicated = [...acked.values()].filter((durability) => durability === 'replicated').length
      expect(replicated, 'receipts on two disks').to.be.greaterThan(ROUNDS)
      process.stderr.write(`      ${acked.size} receipts acknowledged, ${replicated} of them by a peer\n`)
    } catch (error) {
      process.stderr.write(`      repeat with SEED=${seed}\n`)
      throw error
    } finally {
      await Promise.all(hubs.map((hub) => hub.kill()))
      await dir.remove()
    }
  })
})
