/**
 * Question: does a bound on the line hold, in both directions, and does it use what it allows? Two real hosts in this
 * process; the bound is on one of them. The ratio is of what crossed in a measured time, signalling and encryption included.
 */
import { createClock } from '../../bootstrap/system.ts'
import { createHost, type Host } from '../../node/net/host.ts'
import { createSocketShaper } from '../../node/net/socket-shaper.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { protocolIds } from '../../protocol/ids.ts'
import { testKey } from '../support/federation.ts'
import { quietLog } from '../support/quiet-log.ts'
import { ratioRow, type BenchRow } from './support/report.ts'

const ids = protocolIds('bench')
const FRAME_BYTES = 8 * 1024
/** Megabits a second, and for how long each is measured after a second to settle. */
const BOUNDS = [2, 20]
const SECONDS = 5

export async function run(say: (text: string) => void): Promise<readonly BenchRow[]> {
  const clock = createClock()
  const shaper = createSocketShaper({ clock })
  const bounded = await createHost({ clock, log: quietLog(), shaper }, { seed: testKey().seed, ids, hub: false, listen: [], version: 'bench' })
  const other = await createHost({ clock, log: quietLog() }, { seed: testKey().seed, ids, hub: true, listen: ['/ip4/127.0.0.1/tcp/0'], version: 'bench' })
  let received = 0
  for (const host of [bounded, other]) {
    host.handle(ids.job, async (channel) => {
      for (let frame = await channel.read(); frame !== undefined; frame = await channel.read()) received += frame.byteLength
    })
    await host.start()
  }
  await bounded.dial(other.addresses(), { signal: AbortSignal.timeout(5_000) })

  async function megabits(from: Host, to: Host): Promise<number> {
    const channel = await from.open(to.peerId, ids.job, { signal: AbortSignal.timeout(10_000) })
    const stop = new AbortController()
    const sending = (async () => {
      while (!stop.signal.aborted) if (!channel.send(new Uint8Array(FRAME_BYTES))) await channel.drained()
    })().catch(() => {})
    await new Promise((resolve) => { setTimeout(resolve, 1_000) })
    const [before, startMs] = [received, performance.now()]
    await new Promise((resolve) => { setTimeout(resolve, SECONDS * 1_000) })
    const rate = (received - before) * 8 / 1_000 / (performance.now() - startMs)
    stop.abort()
    channel.abort(new TriforceError('CANCELLED'))
    await sending
    return rate
  }

  const rows: BenchRow[] = []
  for (const mbits of BOUNDS) {
    say(`${mbits} Mbit/s`)
    const perSecond = mbits * 125_000
    shaper.bound({ sendPerSecond: perSecond, readPerSecond: undefined })
    rows.push(ratioRow(`sent at a bound of ${mbits} Mbit/s / the bound`, 'Mbit/s', await megabits(bounded, other), mbits, '0.9 to 1.1'))
    shaper.bound({ sendPerSecond: undefined, readPerSecond: perSecond })
    rows.push(ratioRow(`received at a bound of ${mbits} Mbit/s / the bound`, 'Mbit/s', await megabits(other, bounded), mbits, '0.9 to 1.1'))
    shaper.bound({ sendPerSecond: undefined, readPerSecond: undefined })
  }
  await bounded.stop()
  await other.stop()
  return rows
}
