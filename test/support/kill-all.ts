/**
 * Kills a whole federation in the middle of traffic, again and again, and looks afterwards for every receipt whose last
 * chunk a client had seen. Used by the test suite with few rounds and by `npm run test:kill -- --rounds 20`.
 */
import { chat, getJson } from './chat-client.ts'
import { startUp } from './up.ts'
import { until } from './until.ts'

export interface KillReport {
  readonly rounds: number
  /** Answers whose last chunk was seen. */
  readonly answers: number
  /** Receipts of those that a hub did not have, or had differently. */
  readonly missing: readonly string[]
}

export interface KillOptions {
  readonly dir: string
  readonly rounds: number
  /** A number in [0, 1). */
  readonly unit: () => number
  readonly say?: (text: string) => void
}

const CLIENTS = 6

export async function killAllRounds({ dir, rounds, unit, say = () => {} }: KillOptions): Promise<KillReport> {
  const seen: string[] = []
  const missing: string[] = []
  for (let round = 1; round <= rounds; round += 1) {
    const up = await startUp({ dir, env: { TRIFORCE_BENCH_SOURCE: 'on' } })
    const { hubs, apiKey } = up.report
    const traffic = new AbortController()
    const before = seen.length
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      while (!traffic.signal.aborted) {
        const answer = await chat({
          api: hubs[client % hubs.length]!.api, apiKey, model: 'bench-source', content: `tokens=${1 + Math.floor(unit() * 40)}`,
        })
        if (answer.done && answer.receipt !== undefined) seen.push(answer.receipt)
      }
    })
    await until('some answers in this round', () => seen.length > before + 10, 20_000)
    await new Promise((resolve) => setTimeout(resolve, unit() * 300))
    traffic.abort()
    await up.killAll()
    await Promise.all(clients)
    say(`round ${round}: ${seen.length - before} answers seen before the kill`)
  }
  const up = await startUp({ dir })
  try {
    for (const receipt of seen) {
      const files = await Promise.all(up.report.hubs.map((hub) => receiptOnHub(hub.api, up.report.apiKey, receipt)))
      if (files.some((file) => file === undefined || file !== files[0])) missing.push(receipt)
    }
  } finally {
    await up.stop()
  }
  return { rounds, answers: seen.length, missing }
}

/** Hubs are given a moment to catch up after the restart. */
async function receiptOnHub(api: string, apiKey: string, receipt: string): Promise<string | undefined> {
  let file: string | undefined
  await until(`receipt ${receipt} on ${api}`, async () => {
    const answer = await getJson(api, apiKey, `/v1/receipts/${receipt}`)
    file = answer.status === 200 ? answer.text : undefined
    return file !== undefined
  }, 5_000).catch(() => {})
  return file
}
