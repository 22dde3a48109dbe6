/** What a hub knows of its hosts' lives: pings over the control protocol, and the record of jobs that follows them. */
import { createHostRecord, type HostRecord } from '../node/jobs/host-record.ts'
import { createLiveness, type Liveness } from '../node/jobs/liveness.ts'
import type { Host } from '../node/net/host.ts'
import type { Requests } from '../node/net/requests.ts'
import type { System } from './system.ts'

export function createHubLiveness({ clock, log }: System, { host, requests }: { readonly host: Host; readonly requests: Requests }): { readonly liveness: Liveness; readonly record: HostRecord } {
  const liveness = createLiveness({
    clock, log, isConnected: (peer) => host.isConnected(peer),
    ping: async (peer, waitMsMax) => {
      await requests.ask(peer, { t: 'ping' }, { waitMsMax })
      record.heard(peer)
    },
  })
  const record = createHostRecord({ clock, liveness })
  host.onDisconnect((peer) => liveness.left(peer))
  return { liveness, record }
}
