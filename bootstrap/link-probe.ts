/**
 * The way from this machine to the hubs of a federation: which of them are reached, how far they are, and how fast this
 * machine sends. A short-lived peer with a key of its own does it, so that a node that runs here is not disturbed.
 */
import { measureUpload, type LineSpeed } from '../node/contributor/speed.ts'
import { createChannelPool } from '../node/net/channel-pool.ts'
import { createHost } from '../node/net/host.ts'
import { createRequests } from '../node/net/requests.ts'
import type { Federation } from '../protocol/federation.ts'
import { protocolIds } from '../protocol/ids.ts'
import { createLog } from './log.ts'
import { createClock, createRandom } from './system.ts'
import { version } from './version.ts'

export interface LinkReport {
  readonly hubs: readonly { readonly name: string; readonly reached: boolean }[]
  /** To the first hub that was reached and measures; undefined where none was. */
  readonly line: (LineSpeed & { readonly hub: string }) | undefined
}

const DIAL_MS_MAX = 4_000

/** Never rejects for what the network does. */
export async function probeLink(federation: Federation): Promise<LinkReport> {
  const [clock, random, log] = [createClock(), createRandom(), createLog({ level: 'silent', json: false, file: undefined })]
  const ids = protocolIds(federation.network)
  const host = await createHost({ clock, log }, { seed: random.bytes(32), ids, hub: false, listen: [], version })
  await host.start()
  try {
    const hubs = await Promise.all(federation.hubs.map(async ({ name, peerId, addresses }) => {
      const reached = await host.dial(addresses.map((address) => `${address}/p2p/${peerId}`), { signal: AbortSignal.timeout(DIAL_MS_MAX) }).then(() => true, () => false)
      return { name, peerId, reached }
    }))
    const requests = createRequests({ pool: createChannelPool({ host }, { protocol: ids.control }), clock })
    let line: LinkReport['line']
    for (const { name, peerId, reached } of hubs) {
      if (!reached || line !== undefined) continue
      line = await measureUpload({ requests, clock, random }, peerId).then((speed) => ({ hub: name, ...speed }), () => undefined)
    }
    return { hubs: hubs.map(({ name, reached }) => ({ name, reached })), line }
  } finally {
    await host.stop()
  }
}
