/**
 * The invariants of the ledger that a state alone can break. `checkMoney` is cheap and runs in production after every
 * frame; the others look at everything and are for tests, the audit and the simulator.
 *
 * I1 all amounts sum to zero  I2 nothing is negative  I3 what came in is there or went out  I4 once is once
 * I5 no spend beyond its hold, no quota beyond its share  I6 what only grows has not shrunk  I11 no time is paid twice
 */
import { coveredMs, payOf } from '../earning/pay.ts'
import { measure } from '../earning/intervals.ts'
import { CONTRIBUTOR_EXPENSE, MS_PER_DAY, REVENUE } from '../rules.ts'
import { ownTokens } from './quota.ts'
import { UNLIMITED_TOKENS, type AccountId, type AccountState, type DeviceState, type HoldState, type LedgerState, type LogName } from './state.ts'

/** I2 and I3 of one account; gives what is wrong. */
export function checkMoney(account: AccountState): string | undefined {
  const { held, inflight, back, debt, minted, spent } = account
  if (held < 0n || inflight < 0n || back < 0n || debt < 0n) return `I2: held ${held}, inflight ${inflight}, back ${back}, debt ${debt}`
  let sum = held + inflight + back - debt
  for (const [log, rights] of account.rights) {
    if (rights < 0n) return `I2: rights of log ${log} are ${rights}`
    sum += rights
  }
  for (const [log, frozen] of account.frozen) {
    if (frozen < 0n) return `I2: ${frozen} are frozen of log ${log}`
    sum += frozen
  }
  return sum === minted - spent ? undefined : `I3: it has ${sum} where ${minted} came in and ${spent} went out`
}

/** I2, I3 and I5 of one account, its quotas included. Gives undefined where all is well. */
export function checkAccount(state: LedgerState, id: AccountId): string | undefined {
  const account = state.accounts.get(id)
  if (account === undefined) return undefined
  const problem = checkMoney(account) ?? checkQuotas(state, account)
  return problem === undefined ? undefined : `account ${id}: ${problem}`
}

function checkQuotas(state: LedgerState, account: AccountState): string | undefined {
  for (const [day, { logs, inflight }] of account.quota) {
    if (inflight < 0) return `I2: ${inflight} tokens of day ${day} are under way`
    let used = 0
    let accepted = inflight
    let given = 0
    let perDay = 0
    for (const [log, of] of logs) {
      if (of.used < 0 || of.given < 0 || of.accepted < 0) return `I2: log ${log} used ${of.used}, gave ${of.given}, accepted ${of.accepted} tokens of day ${day}`
      const share = ownTokens(state.logs.get(log), account.home, day, of.quota)
      if (of.quota !== UNLIMITED_TOKENS && of.used + of.given > share + of.accepted) {
        return `I5: log ${log} used ${of.used} and gave ${of.given} tokens of day ${day}, and has ${share} and accepted ${of.accepted}`
      }
      used += of.used
      given += of.given
      accepted += of.accepted
      perDay = Math.max(perDay, of.quota)
    }
    // Tokens that were accepted in good faith from a lost end of a log are used beside those that its surviving end gave out.
    const lost = Math.max(0, accepted - given)
    if (perDay !== UNLIMITED_TOKENS && used > perDay + lost) return `I5: ${used} tokens of day ${day} are used, of ${perDay}${lost === 0 ? '' : ` and ${lost} that were given in a lost end`}`
    if (lost > 0 && !hasLoss(state)) return `I1: ${given} tokens of day ${day} were given, ${accepted} arrived or are under way`
  }
  return undefined
}

/** Only what was accepted from a lost end of a log comes from nowhere; its hub bears it. */
function hasLoss(state: LedgerState): boolean {
  return [...state.logs.values()].some(({ status }) => status.is !== 'live')
}

/** Everything. Gives what is wrong, at most 100 findings; empty where all is well. */
export function checkState(state: LedgerState): string[] {
  const problems: string[] = []
  for (const problem of findings(state)) {
    problems.push(problem)
    if (problems.length === 100) break
  }
  return problems
}

function* findings(state: LedgerState): Generator<string> {
  for (const id of state.accounts.keys()) {
    const problem = checkAccount(state, id)
    if (problem !== undefined) yield problem
  }
  yield* checkSums(state)
  yield* checkLogs(state)
  for (const [key, held] of state.holds) yield* checkHold(state, key, held)
  for (const key of state.openHolds) if (!state.holds.has(key)) yield `I4: hold ${key} is open and not known`
  for (const [key, { from }] of state.gives) if (state.givesDone.has(key)) yield `I4: give ${key} of log ${from} is under way and done`
  for (const [key, device] of state.devices) for (const problem of checkDevice(device)) yield `device ${key}: ${problem}`
}

/** I1: all accounts and system accounts together, and the parts of accounts against what they are made of. */
function* checkSums(state: LedgerState): Generator<string> {
  let total = 0n
  for (const amount of state.system.values()) total += amount
  for (const { minted, spent } of state.accounts.values()) total += minted - spent
  if (total !== 0n) yield `I1: all money sums to ${total}`

  let revenue = state.islandSpent
  for (const { outcome, refunded } of state.holds.values()) revenue += (outcome?.charge ?? 0n) - refunded
  if (revenue !== (state.system.get(REVENUE) ?? 0n)) yield `I4: the revenue is ${state.system.get(REVENUE) ?? 0n}, holds and lost ends were charged ${revenue}`
  let paid = 0n
  for (const { vested } of state.devices.values()) paid += vested
  if (paid !== -(state.system.get(CONTRIBUTOR_EXPENSE) ?? 0n)) yield `I6: contributors were paid ${-(state.system.get(CONTRIBUTOR_EXPENSE) ?? 0n)}, for devices that are said to have got ${paid}`

  const held = new Map<AccountId, bigint>()
  for (const key of state.openHolds) {
    const hold = state.holds.get(key)
    if (hold !== undefined) held.set(hold.account, (held.get(hold.account) ?? 0n) + hold.credits)
  }
  const inflight = new Map<string, bigint>()
  for (const { account, unit, amount } of state.gives.values()) inflight.set(`${account}/${unit}`, (inflight.get(`${account}/${unit}`) ?? 0n) + amount)
  for (const [id, account] of state.accounts) {
    if (account.held !== (held.get(id) ?? 0n)) yield `I1: account ${id} has ${account.held} held, its open holds ${held.get(id) ?? 0n}`
    if (account.inflight !== (inflight.get(`${id}/0`) ?? 0n)) yield `I1: account ${id} has ${account.inflight} under way, its gives ${inflight.get(`${id}/0`) ?? 0n}`
    for (const [day, quota] of account.quota) {
      const gives = inflight.get(`${id}/${day}`) ?? 0n
      if (BigInt(quota.inflight) !== gives) yield `I1: account ${id} has ${quota.inflight} tokens of day ${day} under way, its gives ${gives}`
    }
  }
}

function* checkLogs(state: LedgerState): Generator<string> {
  const ended = new Set<LogName>()
  for (const [name, { status }] of state.logs) if (status.is === 'sealed') ended.add(name)
  for (const [id, { rights, frozen }] of state.accounts) {
    for (const log of rights.keys()) if (!state.logs.has(log) || ended.has(log)) yield `I12: account ${id} has rights in log ${log}, which is sealed or not known`
    for (const log of frozen.keys()) if (!ended.has(log)) yield `I12: account ${id} has something frozen of log ${log}, which is not sealed`
  }
  for (const [name, { status, frame }] of state.logs) {
    if (status.is === 'sealed' && frame > status.frame) yield `I12: log ${name} is folded to frame ${frame} and sealed at ${status.frame}`
  }
  const { outstandingSeal } = state
  for (const [name, { status }] of state.logs) {
    const outstanding = status.is === 'sealed' && !status.returned
    if (outstanding !== (name === outstandingSeal)) yield `I4: log ${name} is sealed and its hub not back, and ${outstandingSeal ?? 'none'} is said to be`
  }
}

function* checkHold(state: LedgerState, key: string, held: HoldState): Generator<string> {
  const { outcome, credits, quotaTokens, refunded, refundedTokens } = held
  if ((outcome === undefined) !== state.openHolds.has(key)) yield `I4: hold ${key} is ${outcome === undefined ? 'open and not listed' : 'over and listed as open'}`
  if (outcome === undefined) {
    if (refunded > 0n || refundedTokens > 0) yield `I4: hold ${key} is open and paid back`
    return
  }
  if (outcome.charge > credits || outcome.quotaTokens > quotaTokens) yield `I5: hold ${key} of ${credits} and ${quotaTokens} tokens was settled at ${outcome.charge} and ${outcome.quotaTokens}`
  if (refunded > outcome.charge || refundedTokens > outcome.quotaTokens) yield `I4: hold ${key} was paid back ${refunded} of ${outcome.charge}`
}

/** I6 and I11: pay within what the facts earn, time counted once. */
function* checkDevice(device: DeviceState): Generator<string> {
  let sum = 0n
  for (const vested of device.vestedBy.values()) sum += vested
  if (sum !== device.vested) yield `I1: accounts got ${sum} of the ${device.vested} that it was paid`
  // Two accounts can be paid for the same time while their hubs do not know of each other; then nothing more is paid until it is earned.
  if (device.vestedBy.size < 2 && device.vested > payOf(device)) yield `I6: it was paid ${device.vested} for facts worth ${payOf(device)}`
  for (const [rate, level] of device.levels) {
    const boots = [...level.boots.values()]
    for (const list of [...boots, level.wall]) {
      if (list.some((edge, index) => index > 0 && edge <= list[index - 1]!)) yield `I11: intervals at rate ${rate} overlap`
    }
    if (level.wallMs !== measure(level.wall) || level.bootMs !== boots.reduce((total, list) => total + measure(list), 0)) yield `I11: the time at rate ${rate} is not that of its intervals`
    const days = level.wall.length === 0 ? 0 : Math.floor((level.wall.at(-1)! - 1) / MS_PER_DAY) - Math.floor(level.wall[0]! / MS_PER_DAY) + 1
    if (coveredMs(level) > days * MS_PER_DAY) yield `I11: more than 24 hours of a day at rate ${rate}`
  }
}
