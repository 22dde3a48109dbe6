/** Jobs and bytes by path, and what a hub relays, read from the node's status when they are asked for. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { NodeStatus } from '../gateway.ts'

const names = Object.freeze({
  jobs: 'triforce_jobs_total',
  bytes: 'triforce_job_bytes_total',
  places: 'triforce_relay_reservations',
  circuits: 'triforce_relay_circuits',
  opened: 'triforce_relay_circuits_opened_total',
  refused: 'triforce_relay_refused_total',
})

export function addTrafficMetrics(registry: Registry, status: () => Pick<NodeStatus, 'traffic' | 'relay'>): void {
  for (const name of Object.values(names)) registry.removeSingleMetric(name)
  for (const [name, what, help] of [
    [names.jobs, 'jobs', 'Jobs that ended well, by the path of their stream: direct, relayed (ciphertext through a hub) or proxied (by a hub)'],
    [names.bytes, 'bytes', 'Bytes of jobs that this node sent, received or relayed, by path'],
  ] as const) {
    registry.registerMetric(new Counter({
      name, help, labelNames: ['path'], registers: [],
      collect() {
        this.reset()
        for (const [path, counted] of Object.entries(status().traffic)) this.inc({ path }, counted[what])
      },
    }))
  }
  if (status().relay === undefined) return
  for (const [name, what, help] of [
    [names.places, 'reservations', 'Peers that can be reached through this hub'],
    [names.circuits, 'circuits', 'Circuits that are open through this hub'],
  ] as const) {
    registry.registerMetric(new Gauge({
      name, help, registers: [],
      collect() {
        this.set(status().relay?.[what] ?? 0)
      },
    }))
  }
  for (const [name, what, help] of [
    [names.opened, 'opened', 'Circuits that were opened through this hub'],
    [names.refused, 'refused', 'Reservations and circuits that this hub refused'],
  ] as const) {
    registry.registerMetric(new Counter({
      name, help, registers: [],
      collect() {
        this.reset()
        this.inc(status().relay?.[what] ?? 0)
      },
    }))
  }
}
