/**
 * What the bridge needs to let people lend machines: registering, listing, changing, leaving, and the report that says
 * why a machine earns what it earns. A node that lends speaks of itself; everywhere else an account speaks of its machines.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Availability, HardwareClaim, LendingStatus, RegistrationInfo } from '../../protocol/messages/contributor.ts'
import type { Signer } from '../../protocol/ports.ts'
import type { Principal } from '../gateway.ts'
import type { LenderView } from '../lending/lender.ts'
import type { SettingsChange } from '../lending/settings.ts'
import type { AskContributor } from './hub-asker.ts'
import type { OrderWriter } from './orders.ts'
import type { Registrar } from './registrar.ts'

/** What the plan's body says. */
export interface RegisterOrder {
  readonly gpus: HardwareClaim['gpus']
  readonly cuda: string
  readonly availability: Availability
  readonly models: readonly string[]
}

export interface RegisterAnswer {
  readonly info: RegistrationInfo
  /** Where this machine is not what the body said, in words. */
  readonly notes: readonly string[]
}

/** What a node knows of its own lending without asking anybody. */
export interface LocalLending {
  readonly lender: LenderView
  readonly nowMs: number
  readonly name: string
  readonly hubs: readonly { readonly name: string; readonly connected: boolean; readonly registered: boolean; readonly problem: string | undefined }[]
  readonly models: readonly string[]
  readonly jobs: { readonly running: number; readonly queued: number; readonly served: number; readonly failed: number; readonly slots: number }
  /** Jobs that this machine itself refused, by error code, since its start. */
  readonly refused: readonly { readonly code: string; readonly count: number }[]
  /** Measured upload; undefined while it was not. */
  readonly uploadMbits: number | undefined
  readonly rttMs: number | undefined
  readonly left: boolean
}

export interface LendingReport {
  /** Where the node that was asked lends. */
  readonly local: LocalLending | undefined
  readonly status: LendingStatus | undefined
  /** Why there is no `status`. */
  readonly problem: string | undefined
}

export interface ContributorGateway {
  /** True where the report is about this machine, and needs nobody's key. */
  readonly lends: boolean
  register(principal: Principal, order: RegisterOrder): Promise<RegisterAnswer>
  list(principal: Principal): Promise<readonly RegistrationInfo[]>
  /** Throws NOT_FOUND, and FORBIDDEN for a machine that must be asked itself. */
  update(principal: Principal, id: Uint8Array, change: Pick<SettingsChange, 'models'> & { readonly availability?: Availability }): Promise<RegistrationInfo>
  /** Throws FORBIDDEN where the machine that was asked is not, or not yet, known to be the account's. */
  checkOwner(principal: Principal): void
  unregister(principal: Principal, id: Uint8Array, options: { readonly revoke: boolean }): Promise<void>
  /** Throws NOT_FOUND where it has not failed its checks, and FORBIDDEN where that was too short ago. */
  recheck(principal: Principal, id: Uint8Array): Promise<RegistrationInfo>
  report(principal: Principal | undefined): Promise<LendingReport>
}

export interface ContributorGatewayComponents {
  readonly ask: AskContributor
  readonly writer: OrderWriter
  /** Nodes that lend. */
  readonly own?: { readonly registrar: Registrar; readonly signer: Signer; readonly local: () => LocalLending }
}

const NO_MACHINE: Omit<HardwareClaim, 'gpus' | 'cuda'> = { driver: '', cpu: '', platform: '', cores: 0, ramBytes: 0, diskFreeBytes: 0, engines: [] }

export function createContributorGateway({ ask, writer, own }: ContributorGatewayComponents): ContributorGateway {
  async function list(principal: Principal): Promise<readonly RegistrationInfo[]> {
    return (await ask('list', writer.order(principal.signer, { do: 'list' }))).registrations
  }

  /** Who may reach this node's API is not yet who may decide about the machine. */
  function mustOwn(principal: Principal, registrar: Registrar): void {
    const account = registrar.answers.find(({ info }) => info !== undefined)?.info?.account
    if (account !== undefined && !bytesEqual(account, principal.account)) {
      throw new TriforceError('FORBIDDEN', {}, { detail: 'this machine earns for another account; use an API key of that one' })
    }
  }

  async function announce(principal: Principal, { gpus, cuda, availability, models }: RegisterOrder): Promise<RegistrationInfo> {
    return await ask('announce', writer.order(principal.signer, {
      do: 'announce', name: announcedName(gpus), hardware: { ...NO_MACHINE, gpus, cuda }, availability, models: [...models],
    }))
  }

  return {
    lends: own !== undefined,
    async register(principal, order) {
      if (own === undefined) return { info: await announce(principal, order), notes: [] }
      mustOwn(principal, own.registrar)
      const info = await own.registrar.register({ availability: order.availability, models: order.models }, principal.signer)
      return { info, notes: differences(order.gpus, info.hardware) }
    },
    list,
    async update(principal, id, change) {
      if (own !== undefined && bytesEqual(own.registrar.id, id)) {
        mustOwn(principal, own.registrar)
        return await own.registrar.register(change)
      }
      const known = (await list(principal)).find((one) => bytesEqual(one.id, id))
      if (known === undefined) throw new TriforceError('NOT_FOUND', {}, { detail: 'no machine with this id is registered for the account' })
      if (known.node !== undefined) throw new TriforceError('FORBIDDEN', {}, { detail: `only the machine "${known.name}" itself can change that; ask its own API` })
      const { hardware, availability, models } = known
      return await announce(principal, { gpus: hardware.gpus, cuda: hardware.cuda, availability: change.availability ?? availability, models: change.models ?? models })
    },
    checkOwner(principal) {
      if (own === undefined || own.registrar.answers.every(({ info }) => info === undefined)) {
        throw new TriforceError('FORBIDDEN', {}, { detail: 'no hub has said yet whose machine this is; use the admin token in its state folder' })
      }
      mustOwn(principal, own.registrar)
    },
    async unregister(principal, id, { revoke }) {
      if (own !== undefined && bytesEqual(own.registrar.id, id)) {
        mustOwn(principal, own.registrar)
        await own.registrar.unregister({ revoke })
        return
      }
      await ask('unregister', writer.order(principal.signer, { do: 'unregister', id, revoke }))
    },
    async recheck(principal, id) {
      const isOwn = own !== undefined && bytesEqual(own.registrar.id, id)
      return await ask('recheck', writer.order(isOwn ? own.signer : principal.signer, { do: 'recheck', id }))
    },
    async report(principal) {
      const signer = own?.signer ?? principal?.signer
      if (signer === undefined) throw new TriforceError('INVALID_API_KEY')
      const local = own?.local()
      try {
        return { local, status: await ask('status', writer.order(signer, { do: 'status' })), problem: undefined }
      } catch (reason) {
        if (own === undefined || !(reason instanceof TriforceError)) throw reason
        // What the machine knows by itself is worth telling without a hub.
        return { local, status: undefined, problem: reason.message }
      }
    },
  }
}

/** `2x RTX 4090`: the name of a machine that nobody has named. */
function announcedName(gpus: HardwareClaim['gpus']): string {
  const name = gpus[0]?.name ?? 'cpu'
  return `${gpus.length > 1 ? `${gpus.length}x ` : ''}${name}`.slice(0, 64)
}

/** What was said and is not so; the machine is registered with what was found. */
function differences(said: HardwareClaim['gpus'], { gpus: found }: HardwareClaim): string[] {
  const names = found.map(({ name }) => name).join(', ') || 'no GPU'
  const wrong = said.filter(({ name }) => !found.some((gpu) => gpu.name.toLowerCase().includes(name.toLowerCase())))
  return wrong.length === 0 ? [] : [`the body says ${wrong.map(({ name }) => name).join(', ')}, and this machine has ${names}; it is registered with what it has`]
}
