/**
 * Carries the ledger's messages between the three hubs: one long stream per pair, opened by the hub that comes first in
 * the federation file. A stream that ends is opened anew while the connection stands.
 */
import type { HubSync } from '../../ledger/interface.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { FederationHub } from '../../protocol/federation.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { Channel, ChannelHandler } from '../net/channel.ts'
import type { Host } from '../net/host.ts'

export interface HubLinksComponents {
  readonly host: Pick<Host, 'open' | 'isConnected' | 'onConnect'>
  readonly sync: HubSync
  readonly clock: Clock
  readonly log: Log
}

export interface HubLinksOptions {
  readonly protocol: string
  readonly hubs: readonly FederationHub[]
  /** Place of this hub in `hubs`. */
  readonly hubIndex: number
}

const REOPEN_MS = 500
const OPEN_MS_MAX = 10_000

export interface HubLinks {
  /** For streams that the other side opened. */
  readonly handler: ChannelHandler
  stop(): void
}

export function createHubLinks(components: HubLinksComponents, options: HubLinksOptions): HubLinks {
  const { host, sync, clock } = components
  const log = components.log.child('hub-links')
  const { protocol, hubs, hubIndex } = options
  const links = new Map<number, Channel>()
  const opening = new Set<number>()
  let stopped = false

  async function run(hub: number, channel: Channel): Promise<void> {
    // A newer stream of the same hub replaces the older one, which may be half dead.
    const older = links.get(hub)
    if (older !== undefined) {
      older.abort(new TriforceError('HOST_LOST', {}, { detail: 'replaced by a newer stream' }))
      sync.disconnected(hub)
    }
    links.set(hub, channel)
    let isTold = true
    const send = (message: Uint8Array): boolean => {
      const writable = channel.send(message)
      if (!writable && isTold) {
        isTold = false
        channel.drained().then(() => {
          isTold = true
          if (links.get(hub) === channel) sync.drained(hub)
        }, () => {})
      }
      return writable
    }
    sync.connected(hub, send)
    log.info('hub linked', { hub: hubs[hub]!.name })
    try {
      for (let message = await channel.read(); message !== undefined; message = await channel.read()) {
        await sync.receive(hub, message)
      }
    } finally {
      if (links.get(hub) === channel) {
        links.delete(hub)
        sync.disconnected(hub)
        log.info('hub unlinked', { hub: hubs[hub]!.name })
      }
    }
  }

  async function open(hub: number): Promise<void> {
    const { peerId, name } = hubs[hub]!
    if (stopped || opening.has(hub) || links.has(hub) || !host.isConnected(peerId)) return
    opening.add(hub)
    let channel: Channel | undefined
    try {
      channel = await host.open(peerId, protocol, { signal: AbortSignal.timeout(OPEN_MS_MAX) })
      opening.delete(hub)
      await run(hub, channel)
      channel.close()
    } catch (reason) {
      const error = toTriforceError(reason)
      channel?.abort(error)
      if (error.spec.blame === 'self') log.error('ledger link broke inside this hub', { hub: name, code: error.code, cause: error.cause instanceof Error ? error.cause.message : '' })
      else log.debug('ledger link ended', { hub: name, code: error.code })
    } finally {
      opening.delete(hub)
      if (!stopped) clock.after(REOPEN_MS, () => void open(hub))
    }
  }

  host.onConnect((peer) => {
    const hub = hubs.findIndex((one) => one.peerId === peer)
    if (hub > hubIndex) void open(hub)
  })

  return {
    handler: async (channel) => {
      const hub = hubs.findIndex((one) => one.peerId === channel.peer)
      if (hub === -1 || hub === hubIndex) throw new TriforceError('NOT_A_HUB')
      await run(hub, channel)
    },
    stop() {
      stopped = true
      for (const channel of links.values()) channel.close()
    },
  }
}
