/** What a bench gives back. */
export interface BenchRow {
  readonly measure: string
  readonly unit: string
  readonly value: number
  /** The same unit, measured in the same run: what `value` is compared with. */
  readonly against?: number
  readonly ratio?: number
  readonly goal?: string
}

export interface BenchModule {
  run(say: (text: string) => void): Promise<readonly BenchRow[]>
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function ratioRow(measure: string, unit: string, value: number, against: number, goal?: string): BenchRow {
  return { measure, unit, value, against, ratio: value / against, ...(goal === undefined ? {} : { goal }) }
}
