/** What one run found and counted. */

export interface Violation {
  /** Name of the check. */
  readonly check: string
  readonly detail: string
}

export interface SeedReport {
  readonly seed: number
  steps: number
  simulatedMs: number
  wallMs: number
  fingerprint: string
  readonly faults: Map<string, number>
  /** Things that should happen in some run. */
  readonly sometimes: Map<string, number>
  readonly operations: Map<string, number>
  readonly violations: Violation[]
  lastNotes: readonly string[]
}

export function emptyReport(seed: number): SeedReport {
  return {
    seed, steps: 0, simulatedMs: 0, wallMs: 0, fingerprint: '', faults: new Map(), sometimes: new Map(), operations: new Map(), violations: [], lastNotes: [],
  }
}

export function count(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by)
}
