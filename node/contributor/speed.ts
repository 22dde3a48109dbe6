/**
 * How fast this machine can send: timed transfers to a hub over the control protocol, in few and bounded frames. The hub
 * throws the bytes away and keeps its own line free with a budget for each peer and for all.
 */
import { SPEED_BYTES_MAX } from '../../protocol/limits.ts'
import type { Clock, Random } from '../../protocol/ports.ts'
import { fromWireError } from '../../protocol/wire-error.ts'
import type { Requests } from '../net/requests.ts'

/** Bytes a minute that a hub takes for measurements: two of the largest kind from one peer; of all together 36 Mbit/s. */
export const speedBudget = Object.freeze({ perPeer: 16 * 1024 * 1024, all: 256 * 1024 * 1024, what: 'measured lines' })

export interface LineSpeed {
  readonly uploadMbits: number
  readonly rttMs: number
}

export interface MeasureComponents {
  readonly requests: Requests
  readonly clock: Clock
  readonly random: Random
}

const FIRST_BYTES = 256 * 1024
const PINGS = 3
const ANSWER_MS_MAX = 15_000
/** Frames that took this long together say enough. On a fast line all of them are sent: 5.75 MiB. */
const ENOUGH_MS = 1_500
const FRAMES_MAX = 5
/** Below the resolution of a timer under load nothing can be told. */
const FRAME_MS_MIN = 1

/** The best of a few growing frames, since the first ones find a connection that has not sped up yet. Throws what `ask` throws, and RATE_LIMITED. */
export async function measureUpload({ requests, clock, random }: MeasureComponents, peer: string): Promise<LineSpeed> {
  let rttMs = Infinity
  for (let round = 0; round < PINGS; round += 1) rttMs = Math.min(rttMs, await timed(async () => { await requests.ask(peer, { t: 'ping' }, { waitMsMax: ANSWER_MS_MAX }) }))
  let uploadMbits = 0
  let bytes = FIRST_BYTES
  let sumMs = 0
  for (let frame = 0; frame < FRAMES_MAX; frame += 1) {
    const data = random.bytes(bytes)
    const ms = await timed(async () => {
      const answer = await requests.ask(peer, { t: 'speed', data }, { waitMsMax: ANSWER_MS_MAX })
      if (answer.t === 'error') throw fromWireError(answer)
    })
    uploadMbits = Math.max(uploadMbits, (bytes * 8) / 1_000 / Math.max(FRAME_MS_MIN, ms - rttMs))
    sumMs += ms
    if (sumMs >= ENOUGH_MS) break
    bytes = Math.min(SPEED_BYTES_MAX, bytes * 2)
  }
  return { uploadMbits: Math.round(uploadMbits * 10) / 10, rttMs: Math.round(rttMs) }

  async function timed(run: () => Promise<void>): Promise<number> {
    const startMs = clock.monotonicMs()
    await run()
    return clock.monotonicMs() - startMs
  }
}
