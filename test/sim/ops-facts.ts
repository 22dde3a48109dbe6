/** Operations of contributors: receipts whose times overlap, presence; and asking for a hub to be sealed. */
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { receiptIdOf } from '../../protocol/messages/receipt.ts'
import type { Signed } from '../../protocol/signed.ts'
import { testKey } from '../support/federation.ts'
import { testReceipt, testTicket, ticketIn } from '../support/ledger-world.ts'
import type { Caller } from './caller.ts'
import { untold } from './oracle.ts'
import type { Repeatables } from './ops-people.ts'
import { count } from './sim-report.ts'

const contributors = [7, 8].map((number) => testKey(new Uint8Array(32).fill(number)).signer)
const HARDWARE = [{ device: 'cpu', name: 'NVIDIA GeForce RTX 4090', vramBytes: 24 * 1024 ** 3 }]
const BOOT = new Uint8Array(16).fill(9)

export function factOperations(caller: Caller, repeatables: Repeatables) {
  const { oracle, random, world } = caller
  const nowMs = (hub: number) => Math.floor(world.swarm.startMs + world.scheduler.nowMs + world.slots[hub]!.clock.offsetMs)

  function ticketAt(hub: number): Signed {
    const account = caller.someAccount()
    return testTicket('sim', world.federation.hubs[hub]!.signer, {
      jobId: random.bytes(16), contributor: caller.pick(contributors)!, ticket: { requestHash: sha256(random.bytes(8)) },
      ...(account === undefined ? {} : { account: account.id }),
    })
  }

  function logReceipt(hub: number, signed: Signed): void {
    const { jobId, contributor, account } = ticketIn(signed.body)
    const worker = contributors.find(({ publicKey }) => toHex(publicKey) === toHex(contributor))!
    // Jobs of one device overlap more often than not.
    const startMs = Math.floor(world.scheduler.nowMs) + caller.between(-2_000, 0) + 10_000
    const ms = caller.between(100, 4_000)
    const receipt = testReceipt('sim', world.federation.hubs[hub]!.signer, {
      contributor: worker,
      half: random.unit() < 0.1 ? null : { boot: BOOT, startMs, endMs: startMs + ms },
      observation: { observedMs: ms + 20, endedAt: nowMs(hub) },
    }, signed)
    const id = receiptIdOf(jobId)
    const thing = { ...untold(), id, account: toHex(account) }
    oracle.receipts.set(toHex(id), thing)
    const again = (at: number) => { caller.append(at, 'receipt', thing, async (ledger) => await ledger.appendReceipt(receipt, HARDWARE), { expected: ['ENTRY_INVALID'] }) }
    repeatables.add(again, hub)
    again(hub)
  }

  return {
    receipt(hub: number) {
      logReceipt(hub, ticketAt(hub))
    },
    presence(hub: number) {
      const wallToMs = nowMs(hub)
      const deviceToMs = Math.floor(world.scheduler.nowMs) + 10_000
      const ms = caller.between(1_000, 9_000)
      count(world.report.operations, 'presence')
      world.slots[hub]!.process!.ledger!.presence({
        contributor: caller.pick(contributors)!.publicKey, boot: BOOT, deviceFromMs: deviceToMs - ms, deviceToMs, wallFromMs: wallToMs - ms, wallToMs, devices: HARDWARE,
      })
    },
    /** The account gets the contributor's key, so that it is paid. */
    'earn-key'(hub: number) {
      const account = caller.someAccount()
      const worker = caller.pick(contributors)!
      if (account === undefined || oracle.keys.has(toHex(worker.publicKey))) return
      const key = { ...untold(), account: toHex(account.id), publicKey: worker.publicKey, revoked: untold(), mayBeRevoked: false }
      oracle.keys.set(toHex(worker.publicKey), key)
      const again = (at: number) => {
        caller.append(at, 'add-key', key, async (ledger) => await ledger.addKey({ publicKey: worker.publicKey, account: account.id, name: 'gpu' }), { expected: ['ENTRY_INVALID'] })
      }
      repeatables.add(again)
      again(hub)
    },
    read(hub: number) {
      const receipt = caller.pick([...oracle.receipts.values()])
      if (receipt !== undefined) caller.call(hub, 'read', async (ledger) => await ledger.receipt(receipt.id), () => {})
    },
    seal(hub: number) {
      const other = caller.pick([0, 1, 2].filter((each) => each !== hub))!
      const forced = random.unit() < 0.2
      const given = new AbortController()
      caller.after(8_000, () => { given.abort(new Error('nobody waits any more')) })
      caller.call(hub, 'seal', async (ledger) => {
        await ledger.seal(other, { forced, signal: given.signal }).catch((error: unknown) => { if (!given.signal.aborted) throw error })
      }, () => {}, { expected: ['BAD_REQUEST'] })
    },
  }
}
