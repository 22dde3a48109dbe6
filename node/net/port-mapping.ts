/**
 * Asks the home router for a port (UPnP), so that consumers stream from here directly. Nothing depends on it: without a
 * router that agrees they come through a hub. What came of it is said once.
 */
import { uPnPNAT, type UPnPNAT, type UPnPNATComponents } from '@libp2p/upnp-nat'
import type { Clock, Log } from '../../protocol/ports.ts'

/** A router answers within five seconds, or there is none; the mapping waits for five more. */
const VERDICT_MS = 15_000

export function portMapping({ clock, log }: { readonly clock: Clock; readonly log: Log }): (components: UPnPNATComponents) => UPnPNAT {
  return (libp2p) => {
    // Not checked from outside: an address that does not work costs a consumer nothing, since it tries a circuit beside it.
    const service = uPnPNAT({ autoConfirmAddress: true, portMappingDescription: 'TriForce' })(libp2p)
    clock.after(VERDICT_MS, () => {
      const mapped = libp2p.addressManager.getAddressesWithMetadata().find(({ type }) => type === 'ip-mapping')
      if (mapped === undefined) log.info('no router opened a port: UPnP is off there, or there is none; who cannot dial this node comes through a hub')
      else log.info('the router opened a port', { address: mapped.multiaddr.toString() })
    })
    return service
  }
}
