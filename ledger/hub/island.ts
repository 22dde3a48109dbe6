/**
 * What a hub has logged that no other hub has yet, and how much of it may be given out all the same.
 *
 * A spend that only this disk knows is lost with the disk. So a hub that nobody answers gives out, of each account, at
 * most what stays frozen when its log is sealed at the last frame that another hub has: the smaller of the cap and the
 * rights at that frame. All arithmetic is here; who waits for what is in ../spending.ts.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { EncodedEntry } from '../entries/entry.ts'
import type { AccountId, EntryId, LedgerState, LogName } from '../fold/state.ts'
import { isPlanted } from '../planted-bugs.ts'
import { ISLAND_CAP_MICRO_CREDITS, ISLAND_HUB_CAP_MICRO_CREDITS } from '../rules.ts'

/** Rights that went and came, µcr. What came may be said too high, never too low. */
interface Moved { went: bigint; came: bigint }

interface UnreplicatedFrame {
  readonly no: number
  readonly moved: Map<AccountId, Moved>
  /** Rights of every account may have come. */
  readonly all: boolean
}

export interface IslandState {
  log: LogName | undefined
  /** Last frame of the log that another hub has. */
  replicated: number
  /** Frames after it, ascending, and what they moved together. */
  readonly frames: UnreplicatedFrame[]
  readonly moved: Map<AccountId, Moved>
  framesOfAll: number
  /** Logged but not given out, since the cap was reached: it counts as used until another hub has frame `frame`. */
  readonly withheld: Map<AccountId, { amount: bigint; frame: number }>
  /** Holds that were given out before another hub had them: what they may cost at most, and in which frame the last of it is. */
  readonly given: Map<EntryId, { readonly account: AccountId; amount: bigint; frame: number }>
  readonly givenByAccount: Map<AccountId, bigint>
  givenInAll: bigint
  /** Frames up to here came from an earlier life of this process: nobody knows what of them was given out. */
  unknownUntil: number
}

export function createIsland(): IslandState {
  return {
    log: undefined, replicated: 0, frames: [], moved: new Map(), framesOfAll: 0, withheld: new Map(), given: new Map(), givenByAccount: new Map(),
    givenInAll: 0n, unknownUntil: 0,
  }
}

/** Starts with a log that reaches to frame `no`, of which another hub has nothing yet, as far as is known. */
export function islandOf(island: IslandState, log: LogName, no: number): void {
  if (island.log === log) return
  Object.assign(island, { log, replicated: 0, unknownUntil: no, givenInAll: 0n, framesOfAll: 0 })
  island.frames.length = 0
  island.moved.clear()
  island.withheld.clear()
  island.given.clear()
  island.givenByAccount.clear()
}

/** Own frame `no` is in `state`. */
export function islandFolded(island: IslandState, state: LedgerState, no: number, entries: readonly EncodedEntry[]): void {
  if (no <= island.replicated) return
  const moved = new Map<AccountId, Moved>()
  let all = false
  const note = (account: AccountId, went: bigint, came: bigint) => {
    add(moved, account, went, came)
    add(island.moved, account, went, came)
  }
  for (const { entry } of entries) {
    switch (entry.k) {
      case 'Hold':
        note(toHex(entry.account), entry.credits, 0n)
        break
      case 'Give':
        if (entry.unit === 0) note(toHex(entry.account), entry.amount, 0n)
        break
      case 'Accept':
        if (entry.unit === 0) note(toHex(entry.account), 0n, entry.amount)
        break
      case 'Extend': {
        const hold = state.holds.get(toHex(entry.hold))
        if (hold !== undefined) note(hold.account, entry.credits, 0n)
        break
      }
      case 'Settle':
      case 'Expire': {
        const hold = state.holds.get(toHex(entry.hold))
        if (hold === undefined) break
        const charge = hold.outcome?.charge ?? 0n
        note(hold.account, 0n, hold.credits - charge)
        givenOutEnded(island, toHex(entry.hold), charge, no)
        break
      }
      case 'Grant':
      case 'Purchase':
      case 'BackRelease':
      case 'Refund':
        note(toHex(entry.account), 0n, entry.amount)
        break
      case 'Vest':
        note(toHex(entry.account), 0n, entry.delta)
        break
      // What comes back, and to whom, the entry does not tell.
      case 'GiveReturn':
      case 'Seal':
      case 'IslandRelease':
        all = true
        break
      // A chargeback takes an unknown part of its amount: as if it took nothing, which errs to the safe side.
      case 'Chargeback':
      case 'AccountOpen':
      case 'KeyAdd':
      case 'KeyRevoke':
      case 'TierSet':
      case 'Progress':
      case 'JobReceipt':
      case 'Presence':
      case 'EpochOpen':
      case 'IslandSettle':
      case 'Handback':
      case 'EquivProof':
      case 'Approval':
        break
    }
  }
  if (all) island.framesOfAll += 1
  if (moved.size > 0 || all) island.frames.push({ no, moved, all })
}

/** Another hub has the log up to frame `no`. */
export function islandReplicated(island: IslandState, log: LogName, no: number): void {
  if (log !== island.log || no <= island.replicated) return
  island.replicated = no
  let done = 0
  while (done < island.frames.length && island.frames[done]!.no <= no) done += 1
  for (const { moved, all } of island.frames.splice(0, done)) {
    if (all) island.framesOfAll -= 1
    for (const [account, { went, came }] of moved) {
      add(island.moved, account, -went, -came)
      const left = island.moved.get(account)!
      if (left.went === 0n && left.came === 0n) island.moved.delete(account)
    }
  }
  for (const [account, { frame }] of island.withheld) if (frame <= no) island.withheld.delete(account)
  for (const [hold, { frame }] of island.given) if (frame <= no) drop(island, hold)
}

/** µcr of the account that this log could spend at its last frame that another hub has; never more. */
export function backedRights(island: IslandState, state: LedgerState, account: AccountId): bigint {
  if (island.log === undefined || island.replicated < island.unknownUntil || island.framesOfAll > 0) return 0n
  const { went, came } = island.moved.get(account) ?? { went: 0n, came: 0n }
  const backed = (state.accounts.get(account)?.rights.get(island.log) ?? 0n) + went - came
  return backed < 0n ? 0n : backed
}

/**
 * May this much of the account go out, though only this disk knows of it? Then it is counted until another hub has
 * frame `frame`. `amount` is added to what the hold has been given out with before.
 */
export function giveOut(
  island: IslandState, state: LedgerState, { hold, account, amount, frame }: { hold: EntryId; account: AccountId; amount: bigint; frame: number },
): boolean {
  const before = island.givenByAccount.get(account) ?? 0n
  const backed = backedRights(island, state, account) - (island.withheld.get(account)?.amount ?? 0n)
  const cap = backed < ISLAND_CAP_MICRO_CREDITS ? backed : ISLAND_CAP_MICRO_CREDITS
  // Without credits there is nothing to lose: tokens of a quota are bounded by this hub's share whatever it forgets.
  if (amount > 0n && !isPlanted('no-island-cap') && (before + amount > cap || island.givenInAll + amount > ISLAND_HUB_CAP_MICRO_CREDITS)) return false
  const known = island.given.get(hold)
  if (known === undefined) island.given.set(hold, { account, amount, frame })
  else {
    known.amount += amount
    known.frame = Math.max(known.frame, frame)
  }
  island.givenByAccount.set(account, before + amount)
  island.givenInAll += amount
  return true
}

/** This much of the account was logged in frame `frame` but is not given out; it will come back by an Expire. */
export function withhold(island: IslandState, account: AccountId, amount: bigint, frame: number): void {
  const known = island.withheld.get(account)
  if (known === undefined) island.withheld.set(account, { amount, frame })
  else {
    known.amount += amount
    known.frame = Math.max(known.frame, frame)
  }
}

/** A hold that was given out cost this much in the end (0n: nothing); the Settle or Expire that says so stands in frame `frame`. */
function givenOutEnded(island: IslandState, hold: EntryId, charge: bigint, frame: number): void {
  const known = island.given.get(hold)
  if (known === undefined) return
  const less = known.amount - (charge < known.amount ? charge : known.amount)
  known.amount -= less
  known.frame = Math.max(known.frame, frame)
  island.givenInAll -= less
  island.givenByAccount.set(known.account, (island.givenByAccount.get(known.account) ?? 0n) - less)
}

/** µcr of the account that were given out and that only this disk knows of. */
export function unreplicatedSpend(island: IslandState, account: AccountId): bigint {
  return island.givenByAccount.get(account) ?? 0n
}

function add(moved: Map<AccountId, Moved>, account: AccountId, went: bigint, came: bigint): void {
  const known = moved.get(account)
  if (known === undefined) moved.set(account, { went, came })
  else {
    known.went += went
    known.came += came
  }
}

function drop(island: IslandState, hold: EntryId): void {
  const { account, amount } = island.given.get(hold)!
  island.given.delete(hold)
  island.givenInAll -= amount
  const left = (island.givenByAccount.get(account) ?? 0n) - amount
  if (left === 0n) island.givenByAccount.delete(account)
  else island.givenByAccount.set(account, left)
}
