/** Jobs and their bytes by the path that they took: the counters behind /metrics and `triforce status`. */

/** `proxied`: between a hub and a peer, the hub reads the stream. The two others bypass the hub, or pass it as ciphertext. */
export const jobPaths = ['direct', 'relayed', 'proxied'] as const
export type JobPath = (typeof jobPaths)[number]

export type TrafficByPath = Readonly<Record<JobPath, { readonly jobs: number; readonly bytes: number }>>

export interface Traffic {
  job(path: JobPath): void
  bytes(path: JobPath, count: number): void
  readonly byPath: TrafficByPath
}

export function createTraffic(): Traffic {
  const byPath = { direct: { jobs: 0, bytes: 0 }, relayed: { jobs: 0, bytes: 0 }, proxied: { jobs: 0, bytes: 0 } }
  return {
    job(path) {
      byPath[path].jobs += 1
    },
    bytes(path, count) {
      byPath[path].bytes += count
    },
    byPath,
  }
}
