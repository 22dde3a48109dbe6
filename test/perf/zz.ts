import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testWorld } from '../support/ledger-world.ts'
import { startBenchHub } from './support/ledger-hubs.ts'
import { median } from './support/report.ts'
const N = Number(process.env['N'] ?? 2000)
const dir = mkdtempSync(join(tmpdir(), 'tfl-'))
const world = testWorld()
const prof = process.env['PROF']
const hubs = await Promise.all([0, 1, 2].map((hub) => startBenchHub(world, hub, join(dir, String(hub)), prof)))
const [a] = hubs as [typeof hubs[0]]
for (const [from, to] of [[0, 1], [0, 2], [1, 2]] as const) await hubs[from]!.ask('dial', to, hubs[to]!.port)
await Promise.all(hubs.map((hub) => hub.ask('whenWritable')))
console.log('load', await a.ask('load', N, N))
for (let i = 0; i < Number(process.env["R"] ?? 4); i++) {
  const cpu = await Promise.all(hubs.map((h) => h.ask('cpuSeconds')))
  const lat = await a.ask('latencies', 300)
  const cpu2 = await Promise.all(hubs.map((h) => h.ask('cpuSeconds')))
  console.log('lat', median(lat).toFixed(2), 'p90', lat.toSorted((x, y) => x - y)[Math.floor(lat.length * 0.9)]!.toFixed(2), 'cpu ms', cpu2.map((c, j) => ((c - cpu[j]!) / 300 * 1000).toFixed(2)))
}
await Promise.all(hubs.map((h) => h.close()))
