/** Looks at all accounts' money at all hubs while everything goes on, and waits for the hubs to agree. */
import type { HubHeads } from './calls.ts'
import type { Hub } from './hubs.ts'
import type { LoadAccount } from './load.ts'
import type { Tally } from './tally.ts'

export interface Watch {
  readonly reads: number
  /** Resolves after the last look. */
  stop(): Promise<void>
}

/** A look a hub at a time, without a pause: a hub that does not answer is asked again when it does. */
export function watchMoney(hubs: readonly Hub[], accounts: readonly LoadAccount[], tally: Tally, everyMs: number, onProblem: (problem: string) => void): Watch {
  const state = { on: true }
  let reads = 0
  const ids = accounts.map(({ id }) => id)

  async function look(hub: Hub): Promise<void> {
    if (!hub.alive) return
    const all = await hub.call('money', ids).catch(() => undefined)
    if (all === undefined) return
    let total = 0n
    for (const [index, money] of all.entries()) {
      if (money === undefined) continue
      reads += 1
      const { balance, quota } = money
      for (const [name, amount] of Object.entries(balance) as readonly [string, bigint][]) {
        if (amount < 0n) onProblem(`hub ${hub.index} says ${name} of ${accounts[index]!.name} is ${amount}`)
        total += name === 'debt' ? -amount : amount
      }
      if (quota.tokensPerDay !== null && quota.usedTokens > quota.tokensPerDay) onProblem(`hub ${hub.index}: ${accounts[index]!.name} has used ${quota.usedTokens} of ${quota.tokensPerDay} tokens`)
    }
    const most = [...tally.grants.values()].reduce((sum, { amount }) => sum + amount, 0n)
    if (total > most) onProblem(`hub ${hub.index} says that there are ${total}, and ${most} were ever asked for`)
  }

  const loops = hubs.map(async (hub) => {
    while (state.on) {
      const startedMs = performance.now()
      await look(hub)
      const restMs = Math.max(10, everyMs - (performance.now() - startedMs))
      await new Promise((resolve) => { setTimeout(resolve, restMs) })
    }
  })
  return {
    get reads() { return reads },
    stop: async () => {
      state.on = false
      await Promise.all(loops)
    },
  }
}

/** Milliseconds until all hubs have the same heads and say the same of all money; undefined where that does not come within `waitMsMax`. */
export async function agreement(hubs: readonly Hub[], waitMsMax: number): Promise<{ readonly ms: number | undefined; readonly heads: readonly (HubHeads | undefined)[] }> {
  const startedMs = performance.now()
  for (;;) {
    const heads = await Promise.all(hubs.map((hub) => hub.call('heads').catch(() => undefined)))
    const ms = performance.now() - startedMs
    const [first] = heads
    if (first !== undefined && heads.every((other) => other?.heads === first.heads && other.dump === first.dump) && hubs.every(({ writable }) => writable)) return { ms, heads }
    if (ms > waitMsMax) return { ms: undefined, heads }
    await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
}
