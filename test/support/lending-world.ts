/** A hub's desk for machines over a ledger in memory, and the documents that people and strangers bring to it. */
import { createCapacityTable } from '../../node/capacity/table.ts'
import { createContributorDesk } from '../../node/contributor/contributor-desk.ts'
import { createOrderWriter, type OrderBody } from '../../node/contributor/orders.ts'
import { createPassedBy } from '../../node/contributor/passed-by.ts'
import { unchecked } from '../../node/contributor/registration-view.ts'
import { openRegistry, type RegistrationStore, type RegistryOptions } from '../../node/contributor/registry.ts'
import type { ContributorTell } from '../../node/contributor/hub-asker.ts'
import { decode } from '../../protocol/codec.ts'
import { contributorTells, type HardwareClaim } from '../../protocol/messages/contributor.ts'
import type { Signed } from '../../protocol/signed.ts'
import { fakeClock } from './fake-clock.ts'
import { fakeLedger } from './fake-ledger.ts'
import { testKey, type TestKey } from './federation.ts'
import { quietLog } from './quiet-log.ts'

const GIB = 1024 ** 3

export function aMachine(part: Partial<HardwareClaim> = {}): HardwareClaim {
  return {
    gpus: [{ name: 'NVIDIA GeForce RTX 4090', vramBytes: 24 * GIB }], driver: '550.90.07', cuda: '12.4', cpu: 'AMD Ryzen 9', platform: 'linux x64',
    cores: 16, ramBytes: 64 * GIB, diskFreeBytes: 500 * GIB, engines: ['Ollama'], ...part,
  }
}

export function registerBody(part: Partial<Extract<OrderBody, { do: 'register' }>> = {}): Extract<OrderBody, { do: 'register' }> {
  return { do: 'register', startedAt: 0, name: 'gpu-box', hardware: aMachine(), availability: {}, models: ['tiny'], ...part }
}

export function memoryStore(): RegistrationStore & { readonly files: Map<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>()
  return { files, load: () => Promise.resolve([...files.values()]), put: (id, bytes) => void files.set(id, bytes), remove: (id) => void files.delete(id) }
}

export async function lendingWorld(options: { readonly store?: RegistrationStore; readonly registry?: RegistryOptions } = {}) {
  const clock = fakeClock()
  const ledger = fakeLedger()
  const owner = testKey()
  const account = ledger.addAccount(owner.signer.publicKey, { name: 'alice', tier: 'contributor' })
  const table = createCapacityTable({ clock }, { demoAllowed: true })
  const passedBy = createPassedBy({ clock })
  const store = options.store ?? memoryStore()
  const registry = await openRegistry({ store, log: quietLog() }, options.registry)
  const passedOn: Signed[] = []
  const desk = createContributorDesk({
    ledger, registry, table, passedBy, clock, log: quietLog(), checkOf: unchecked, recheck: () => {}, isConnected: () => true,
    passOn: (order) => void passedOn.push(order), isHub: (peer) => peer === 'a hub',
  }, { network: 'net', hubName: 'alpha' })
  const writer = createOrderWriter({ clock }, { network: 'net' })
  const node = testKey()

  async function ask<Act extends OrderBody['do']>(act: Act, order: Signed, consent?: Signed, peer = 'a peer'): Promise<ContributorTell<Act>> {
    return decode(contributorTells[act], await desk.answer(peer, { t: 'contributor', order, ...(consent === undefined ? {} : { consent }) })) as ContributorTell<Act>
  }
  /** As an honest node does it, with the agreement of `by`; null: nobody's. */
  function register(key: TestKey = node, part: Parameters<typeof registerBody>[0] = {}, by: TestKey | null = owner): Promise<ContributorTell<'register'>> {
    return ask('register', writer.order(key.signer, registerBody(part)), by === null ? undefined : writer.consent(by.signer, key.signer.publicKey))
  }
  return { clock, ledger, owner, account, table, passedBy, registry, store, passedOn, writer, node, ask, register }
}
