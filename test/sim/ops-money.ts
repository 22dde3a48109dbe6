/** Operations by which money comes in or is taken back, and the rules for it that two hubs sign. */
import { plan } from '../../ledger/tables/plan.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { HubLedger } from '../../ledger/interface.ts'
import type { Caller } from './caller.ts'
import { untold, type OracleAccount, type Told } from './oracle.ts'
import type { Repeatables } from './ops-people.ts'

const MICRO = 1_000_000

export function moneyOperations(caller: Caller, repeatables: Repeatables) {
  const { oracle, random } = caller
  const payments: { readonly account: OracleAccount; readonly amount: bigint; readonly payment: string }[] = []
  let serial = 0
  /** Another amount under the same name may come first. */
  const conflicts = caller.world.swarm.operations.includes('conflict') ? ['ENTRY_CONFLICT'] : []

  function amountOf(name: string, account: OracleAccount, amount: bigint): Told {
    const known = oracle.mints.get(name) ?? { account: toHex(account.id), amounts: new Map<bigint, Told>() }
    oracle.mints.set(name, known)
    const thing = known.amounts.get(amount) ?? untold()
    known.amounts.set(amount, thing)
    return thing
  }

  function grant(hub: number, account: OracleAccount, source: string, amount: bigint): void {
    const thing = amountOf(`grant ${toHex(account.id)} ${source}`, account, amount)
    caller.append(hub, 'grant', thing, async (ledger) => await ledger.grant({ account: account.id, amountMicroCredits: amount, source }), {
      expected: ['ENTRY_INVALID', 'BUDGET_EXCEEDED', ...conflicts],
    })
  }

  function purchase(hub: number, account: OracleAccount, payment: string, amount: bigint): void {
    const thing = amountOf(`purchase ${toHex(account.id)} ${payment}`, account, amount)
    const run = async (ledger: HubLedger) => await ledger.purchase({ account: account.id, amountMicroCredits: amount, payment, product: 'pack-5' })
    caller.append(hub, 'purchase', thing, run, { expected: ['ENTRY_INVALID', ...conflicts] })
  }

  return {
    grant(hub: number) {
      const account = caller.someAccount()
      if (account === undefined) return
      serial += 1
      const source = `grant ${serial}`
      const amount = BigInt(caller.between(1, random.unit() < 0.5 ? 5 : 900)) * BigInt(MICRO) + BigInt(caller.between(0, MICRO))
      repeatables.add((at) => { grant(at, account, source, amount) })
      // A client that hears nothing for a moment asks everywhere.
      for (const at of random.unit() < 0.15 ? caller.hubs : [hub]) grant(at, account, source, amount)
    },

    purchase(hub: number) {
      const account = caller.someAccount()
      if (account === undefined) return
      serial += 1
      const payment = `payment ${serial}`
      const amount = BigInt(caller.between(1, 500) * MICRO)
      payments.push({ account, amount, payment })
      repeatables.add((at) => { purchase(at, account, payment, amount) })
      purchase(hub, account, payment, amount)
    },

    chargeback(hub: number) {
      const paid = caller.pick(payments)
      if (paid === undefined) return
      const { account, payment } = paid
      // A part of it, all of it, or more than was paid, which is refused.
      const amount = random.unit() < 0.7 ? paid.amount : paid.amount * BigInt(caller.between(1, 3)) / 2n
      const again = (at: number) => {
        oracle.chargebacks += 1
        caller.append(at, 'chargeback', untold(), async (ledger) => await ledger.chargeback({ account: account.id, amountMicroCredits: amount, payment }), {
          expected: ['ENTRY_INVALID', 'ENTRY_CONFLICT'],
        })
      }
      repeatables.add(again)
      again(hub)
    },

    /** The same source or payment with another amount. */
    conflict(hub: number) {
      const name = caller.pick([...oracle.mints.keys()])
      if (name === undefined) return
      const [kind, id = '', ...rest] = name.split(' ')
      const account = oracle.accounts.get(id)!
      if (kind === 'grant') grant(hub, account, rest.join(' '), BigInt(caller.between(1, 1_000)))
      else purchase(hub, account, rest.join(' '), BigInt(caller.between(1, 1_000)))
    },

    /** More than one hub may give: it is refused unless two have signed it. */
    'large-grant'(hub: number) {
      const account = caller.someAccount()
      if (account === undefined) return
      serial += 1
      const source = `large ${serial}`
      const amount = 1_000_000_000_001n + BigInt(serial)
      if (random.unit() < 0.3) {
        grant(hub, account, source, amount)
        return
      }
      amountOf(`grant ${toHex(account.id)} ${source}`, account, amount)
      change(hub, async (ledger) => await ledger.proposeChange({ type: 'grant', account: account.id, amountMicroCredits: amount, source }))
    },

    'price-table'(hub: number) {
      const factor = BigInt(caller.between(1, 3))
      const rows = plan.prices.rows.map((row) => ({
        ...row, promptMicroCredits: row.promptMicroCredits * factor + BigInt(caller.between(0, 3)), completionMicroCredits: row.completionMicroCredits * factor,
      }))
      change(hub, async (ledger) => await ledger.proposeChange({ type: 'table', table: 'prices', rev: ledger.table('prices').rev + 1, content: { ...plan.prices, rows } }))
    },

    'tier-table'(hub: number) {
      const rows = plan.tiers.rows.map((row) => ({ ...row, tokensPerDay: row.tokensPerDay === null ? null : row.tokensPerDay + caller.between(-3, 3) * 1_000 }))
      change(hub, async (ledger) => await ledger.proposeChange({ type: 'table', table: 'tiers', rev: ledger.table('tiers').rev + 1, content: { rows } }))
    },
  }

  /** One hub signs; most of the time another one does too, a while later. */
  function change(hub: number, propose: (ledger: HubLedger) => Promise<{ readonly id: Uint8Array }>): void {
    const expected = ['ENTRY_INVALID', 'ENTRY_CONFLICT', 'NOT_FOUND', 'BAD_REQUEST', 'NEEDS_SECOND_HUB']
    caller.call(hub, 'propose', propose, ({ id }) => {
      if (random.unit() < 0.25) return
      caller.after(caller.between(50, 2_000), () => {
        const second = caller.pick(caller.hubs.filter((other) => other !== hub))
        if (second !== undefined) caller.call(second, 'approve', async (ledger) => await ledger.approveChange(id), () => {}, { expected })
      })
    }, { expected })
  }
}
