/** All that callers do, drawn from what is on in the run. */
import { plan } from '../../ledger/tables/plan.ts'
import { createCaller, type Caller } from './caller.ts'
import { factOperations } from './ops-facts.ts'
import { moneyOperations } from './ops-money.ts'
import { peopleOperations, type Operation, type Repeatables } from './ops-people.ts'
import { spendingOperations } from './ops-spending.ts'
import type { Oracle } from './oracle.ts'
import type { SimWorld } from './sim-world.ts'
import type { OperationKind } from './swarm.ts'

export interface Workload extends Pick<Caller, 'pending' | 'running' | 'done'> {
  /** One operation, now. */
  operate(): void
  /** Something that any hub can do at any time: is it answered? */
  probe(hub: number): void
}

export function createWorkload(world: SimWorld, oracle: Oracle): Workload {
  oracle.prices.set(0, new Map(plan.prices.rows.map((row) => [row.row, row])))
  for (const { tier, tokensPerDay } of plan.tiers.rows) oracle.tierTokens.set(tier, tokensPerDay)
  const caller = createCaller(world, oracle)
  const things: { readonly again: Operation; readonly hub: number | undefined }[] = []
  const repeatables: Repeatables = {
    add: (again, hub) => { things.push({ again, hub }) },
    some: () => caller.pick(things),
  }
  const facts = factOperations(caller, repeatables)
  const operations: Record<OperationKind, Operation> = {
    ...peopleOperations(caller, repeatables), ...moneyOperations(caller, repeatables), ...spendingOperations(caller), ...facts,
    repeat() {
      const thing = repeatables.some()
      const hub = caller.pick(caller.hubs.filter((each) => thing?.hub === undefined || each === thing.hub))
      if (thing !== undefined && hub !== undefined) thing.again(hub)
    },
  }

  return {
    operate() {
      const { favourite } = world
      const hub = favourite !== undefined && caller.hubs.includes(favourite) && caller.random.unit() < 0.6 ? favourite : caller.pick(caller.hubs)
      const kind = caller.pick(world.swarm.operations)
      if (hub !== undefined && kind !== undefined) operations[kind](hub)
    },
    probe: (hub) => {
      if (caller.hubs.includes(hub)) facts.receipt(hub)
    },
    get running() { return caller.running },
    get pending() { return caller.pending },
    get done() { return caller.done },
  }
}
