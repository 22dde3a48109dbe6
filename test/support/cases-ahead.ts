/** Cases that wait more than they compute: some run at once, and each is still a test with a name. */
export interface CasesAhead {
  /** Begins with the first cases; to be called once, when the world stands. */
  start(): void
  /** Registers a test for each case; it waits for that case alone. */
  declare(it: (name: string, work: () => Promise<unknown>) => unknown): void
}

export function casesAhead(cases: Readonly<Record<string, () => Promise<unknown>>>, { atOnce }: { readonly atOnce: number }): CasesAhead {
  const outcomes = new Map(Object.keys(cases).map((name) => [name, Promise.withResolvers<unknown>()]))
  // A case that fails before its test asks is no rejection that nobody handles.
  for (const { promise } of outcomes.values()) promise.catch(() => undefined)
  const left = Object.entries(cases)

  async function lane(): Promise<void> {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [name, work] = next
      await work().then(outcomes.get(name)!.resolve, outcomes.get(name)!.reject)
    }
  }

  return {
    start() {
      for (let count = 0; count < atOnce; count += 1) void lane()
    },
    declare(it) {
      for (const [name, { promise }] of outcomes) it(name, () => promise)
    },
  }
}
