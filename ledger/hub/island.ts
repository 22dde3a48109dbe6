/**
 * What a hub has logged that no other hub has yet, and how much of it may be given out all the same.
 *
 * A spend that only this disk knows is lost with the disk, or stands behind the end at which the others seal the log. So a
 * hub that nobody answers gives out, of each account, at most what stays frozen then: the smaller of the cap and the rights
 * at that end. The end is the last frame that another hub has, and that may be any frame after the last one that is known to
 * be there. So the rule must hold at each of them. All arithmetic is here; who waits for what is in ../spending.ts.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { EncodedEntry } from '../entries/entry.ts'
import type { AccountId, EntryId, LedgerState, LogName } from '../fold/state.ts'
import { isPlanted } from '../planted-bugs.ts'
import { ISLAND_CAP_MICRO_CREDITS, ISLAND_HUB_CAP_MICRO_CREDITS } from '../rules.ts'

/** What one frame did with the rights of one account, µcr. What came may be said too high, never too low. */
interface Move {
  readonly no: number
  went: bigint
  came: bigint
  /** What of it was given out before another hub had it, less what did not come to be charged. */
  given: bigint
}

interface UnreplicatedFrame {
  readonly no: number
  readonly moved: ReadonlyMap<AccountId, Move>
  /** Rights of every account may have come. */
  readonly all: boolean
}

interface Given {
  readonly account: AccountId
  /** What it may cost at most, µcr. */
  amount: bigint
  /** Where the last of it stands. */
  frame: number
  /** In which frame each part of it stands: a hold may be extended. */
  readonly parts: { readonly move: Move; amount: bigint }[]
}

export interface IslandState {
  log: LogName | undefined
  /** Last frame of the log that another hub is known to have. */
  replicated: number
  /** Frames after it, ascending, and the same by account. */
  readonly frames: UnreplicatedFrame[]
  readonly moves: Map<AccountId, Move[]>
  framesOfAll: number
  /** Holds that were given out before another hub had them. */
  readonly given: Map<EntryId, Given>
  readonly givenByAccount: Map<AccountId, bigint>
  givenInAll: bigint
  /** Frames up to here came from an earlier life of this process: nobody knows what of them was given out. */
  unknownUntil: number
}

export function createIsland(): IslandState {
  return {
    log: undefined, replicated: 0, frames: [], moves: new Map(), framesOfAll: 0, given: new Map(), givenByAccount: new Map(), givenInAll: 0n, unknownUntil: 0,
  }
}

/** Starts with a log that reaches to frame `no`, of which another hub has nothing yet, as far as is known. */
export function islandOf(island: IslandState, log: LogName, no: number): void {
  if (island.log === log) return
  Object.assign(island, { log, replicated: 0, unknownUntil: no, givenInAll: 0n, framesOfAll: 0 })
  island.frames.length = 0
  island.moves.clear()
  island.given.clear()
  island.givenByAccount.clear()
}

/** Own frame `no` is in `state`. */
export function islandFolded(island: IslandState, state: LedgerState, no: number, entries: readonly EncodedEntry[]): void {
  if (no <= island.replicated) return
  const moved = new Map<AccountId, Move>()
  let all = false
  const note = (account: AccountId, went: bigint, came: bigint) => {
    const move = moved.get(account) ?? { no, went: 0n, came: 0n, given: 0n }
    move.went += went
    move.came += came
    moved.set(account, move)
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
  if (moved.size === 0 && !all) return
  island.frames.push({ no, moved, all })
  for (const [account, move] of moved) {
    const moves = island.moves.get(account)
    if (moves === undefined) island.moves.set(account, [move])
    else moves.push(move)
  }
}

/** Another hub has the log up to frame `no`. */
export function islandReplicated(island: IslandState, log: LogName, no: number): void {
  if (log !== island.log || no <= island.replicated) return
  island.replicated = no
  let done = 0
  while (done < island.frames.length && island.frames[done]!.no <= no) done += 1
  for (const { moved, all } of island.frames.splice(0, done)) {
    if (all) island.framesOfAll -= 1
    for (const account of moved.keys()) {
      const moves = island.moves.get(account)!
      moves.shift()
      if (moves.length === 0) island.moves.delete(account)
    }
  }
  for (const [hold, { frame }] of island.given) if (frame <= no) drop(island, hold)
}

/** µcr of the account that this log could spend at its last frame that another hub is known to have; never more. */
export function backedRights(island: IslandState, state: LedgerState, account: AccountId): bigint {
  return isUnknown(island) ? 0n : positive((island.moves.get(account) ?? []).reduce((rights, { went, came }) => rights + went - came, rightsNow(island, state, account)))
}

/**
 * µcr that may still be given out of what frame `frame` took: wherever before it the others cut the log, the rights there
 * pay for all that was given out behind. An end at that frame or later has it, and takes nothing for it from what is frozen.
 */
function roomBefore(island: IslandState, state: LedgerState, account: AccountId, frame: number): bigint {
  if (isUnknown(island)) return 0n
  let rights = rightsNow(island, state, account)
  let given = 0n
  let room: bigint | undefined
  for (const move of (island.moves.get(account) ?? []).toReversed()) {
    if (move.no < frame) room = room === undefined ? rights - given : least(room, rights - given)
    rights += move.went - move.came
    given += move.given
  }
  return positive(room === undefined ? rights - given : least(room, rights - given))
}

/** Nobody can say what the log could spend at an end that another hub may have. */
function isUnknown(island: IslandState): boolean {
  return island.log === undefined || island.replicated < island.unknownUntil || island.framesOfAll > 0
}

function rightsNow({ log }: IslandState, state: LedgerState, account: AccountId): bigint {
  return state.accounts.get(account)?.rights.get(log!) ?? 0n
}

const least = (one: bigint, other: bigint) => one < other ? one : other
const positive = (amount: bigint) => amount < 0n ? 0n : amount

/**
 * May this much of the account go out, though only this disk knows of it? Then it is counted until another hub has
 * frame `frame`, or a later one where it is not known in which it stands. `amount` is added to what the hold has been given
 * out with before.
 */
export function giveOut(
  island: IslandState, state: LedgerState, { hold, account, amount, frame }: { hold: EntryId; account: AccountId; amount: bigint; frame: number },
): boolean {
  const before = island.givenByAccount.get(account) ?? 0n
  // Without credits there is nothing to lose: tokens of a quota are bounded by this hub's share whatever it forgets.
  const isBounded = amount === 0n || before + amount <= ISLAND_CAP_MICRO_CREDITS && island.givenInAll + amount <= ISLAND_HUB_CAP_MICRO_CREDITS
    && amount <= roomBefore(island, state, account, frame)
  if (!isBounded && !isPlanted('no-island-cap')) return false
  const known = island.given.get(hold) ?? { account, amount: 0n, frame, parts: [] }
  known.amount += amount
  known.frame = Math.max(known.frame, frame)
  island.given.set(hold, known)
  const move = island.moves.get(account)?.findLast(({ no }) => no <= frame)
  if (move !== undefined) {
    move.given += amount
    known.parts.push({ move, amount })
  }
  island.givenByAccount.set(account, before + amount)
  island.givenInAll += amount
  return true
}

/** A hold that was given out cost this much in the end (0n: nothing); the Settle or Expire that says so stands in frame `frame`. */
function givenOutEnded(island: IslandState, hold: EntryId, charge: bigint, frame: number): void {
  const known = island.given.get(hold)
  if (known === undefined) return
  const less = known.amount - least(charge, known.amount)
  known.amount -= less
  known.frame = Math.max(known.frame, frame)
  island.givenInAll -= less
  island.givenByAccount.set(known.account, (island.givenByAccount.get(known.account) ?? 0n) - less)
  // What was reserved first is used first.
  let left = less
  for (const part of known.parts.toReversed()) {
    const cut = least(part.amount, left)
    part.amount -= cut
    part.move.given -= cut
    left -= cut
  }
}

/** µcr of the account that were given out and that only this disk knows of. */
export function unreplicatedSpend(island: IslandState, account: AccountId): bigint {
  return island.givenByAccount.get(account) ?? 0n
}

function drop(island: IslandState, hold: EntryId): void {
  const { account, amount } = island.given.get(hold)!
  island.given.delete(hold)
  island.givenInAll -= amount
  const left = (island.givenByAccount.get(account) ?? 0n) - amount
  if (left === 0n) island.givenByAccount.delete(account)
  else island.givenByAccount.set(account, left)
}
