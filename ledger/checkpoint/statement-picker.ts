/**
 * Finds the entries of an account for its statement: of all that might have moved its money those that did, as the hash
 * chains in its leaf tell. What names the account counts nearly always; an entry that was void, or moved the rights of
 * every account at once (a Seal), is in the chain only where it moved something.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { decodeEntry, type Entry } from '../entries/entry.ts'
import { nextHead } from '../fold/chain.ts'
import type { AccountId, EntryId, LogName } from '../fold/state.ts'
import type { Frame } from '../frame.ts'
import { inclusionPath, leafHash } from '../../protocol/merkle.ts'
import { compareLogNames, type LeafChain, type StateLeaf } from './state-leaf.ts'
import type { StatementFrame } from './statement-file.ts'

/** Choices that are tried among entries of one log that may be void; more would mean that something is wrong. */
const TRIES_MAX = 4_096

export interface StatementPicker {
  /** Frames of a log in order; those of different logs as they come. Frames that do not concern the account are passed over. */
  add(frame: Pick<Frame, 'header' | 'headerBytes' | 'signature' | 'entryBytes'>): void
  /** Throws INTERNAL where the frames do not have the entries that the leaf's chains are made of. */
  pick(leaf: StateLeaf): readonly StatementFrame[]
}

/** What an entry is to an account: `sure` moves its money unless it is void, `maybe` only where it has any in a certain log. */
type Concern = 'none' | 'maybe' | 'sure'

interface Found {
  readonly frame: Pick<Frame, 'header' | 'headerBytes' | 'signature' | 'entryBytes'>
  readonly index: number
  readonly bytes: Uint8Array
  readonly entry: Entry
  readonly concern: Concern
}

/** What a hold took in all, by its id. */
type Reserved = Map<EntryId, { credits: bigint; tokens: number }>

/** `accountOfHold`: of a hold that is in the state, by its id. */
export function createStatementPicker(account: AccountId, accountOfHold: (hold: EntryId) => AccountId | undefined): StatementPicker {
  const found = new Map<LogName, Found[]>()
  const holds = new Set<EntryId>()
  const gives = new Set<EntryId>()

  function concernOf(entry: Entry): Concern {
    switch (entry.k) {
      case 'Grant':
      case 'Purchase':
      case 'Chargeback':
      case 'Vest':
      case 'BackRelease':
      case 'IslandSettle':
      case 'Accept':
      case 'Refund':
        return toHex(entry.account) === account ? 'sure' : 'none'
      case 'Give':
        if (toHex(entry.account) !== account) return 'none'
        gives.add(toHex(entry.eid))
        return 'sure'
      case 'Hold':
        if (toHex(entry.account) !== account) return 'none'
        holds.add(toHex(entry.eid))
        return 'sure'
      case 'Extend':
      case 'Settle':
      case 'Expire': {
        const id = toHex(entry.hold)
        return holds.has(id) || accountOfHold(id) === account ? 'sure' : 'none'
      }
      // Whose give it returns may stand in another log, which comes later: `pick` knows.
      case 'GiveReturn':
      case 'Seal':
      case 'IslandRelease':
        return 'maybe'
      case 'AccountOpen':
      case 'KeyAdd':
      case 'KeyRevoke':
      case 'TierSet':
      case 'Progress':
      case 'JobReceipt':
      case 'Presence':
      case 'EpochOpen':
      case 'Handback':
      case 'EquivProof':
      case 'Approval':
        return 'none'
    }
  }

  return {
    add(frame) {
      const { hub, epoch } = frame.header
      for (const [index, bytes] of frame.entryBytes.entries()) {
        const entry = decodeEntry(bytes)
        const concern = concernOf(entry)
        if (concern === 'none') continue
        const name = `${hub}/${epoch}`
        const known = found.get(name) ?? []
        found.set(name, known)
        known.push({ frame, index, bytes, entry, concern })
      }
    },

    pick({ chains }) {
      const reserved = reservedBy([...found.values()].flat())
      return chains.toSorted((a, b) => compareLogNames(a.log, b.log)).flatMap((chain) => {
        const candidates = (found.get(chain.log) ?? []).filter(({ entry }) => entry.k !== 'GiveReturn' || gives.has(toHex(entry.give)))
        const picked = pickChain(withoutVoid(candidates, reserved), chain) ?? pickChain(candidates, chain)
        if (picked !== undefined) return framesOf(picked)
        throw new TriforceError('INTERNAL', { log: chain.log }, { detail: `the entries of an account in log ${chain.log} cannot be told from the chain in its leaf` })
      })
    },
  }
}

function reservedBy(found: readonly Found[]): Reserved {
  const reserved: Reserved = new Map()
  for (const { entry } of found) {
    if (entry.k !== 'Hold' && entry.k !== 'Extend') continue
    const id = toHex(entry.k === 'Hold' ? entry.eid : entry.hold)
    const sum = reserved.get(id) ?? { credits: 0n, tokens: 0 }
    sum.credits += entry.credits
    sum.tokens += entry.k === 'Hold' ? entry.quota?.tokens ?? 0 : entry.quotaTokens
    reserved.set(id, sum)
  }
  return reserved
}

/** Without what moves nothing as the entries themselves tell: an id or the end of a hold for the second time in a log, and amounts of zero. */
function withoutVoid(found: readonly Found[], reserved: Reserved): readonly Found[] {
  const seen = new Set<string>()
  return found.filter(({ entry }) => {
    const id = toHex(entry.eid)
    const isEnd = entry.k === 'Settle' || entry.k === 'Expire'
    // The ids of gives are told apart by the log that they stand in.
    const key = isEnd ? `end of ${toHex(entry.hold)}` : entry.k === 'Accept' ? `${id} from ${entry.from.hub}/${entry.from.epoch}` : id
    if (seen.has(key)) return false
    seen.add(key)
    if (entry.k === 'Hold') return entry.credits > 0n || entry.quota !== undefined
    if (entry.k === 'Extend') return entry.credits > 0n || entry.quotaTokens > 0
    if (entry.k === 'Refund') return entry.amount > 0n || entry.quotaTokens > 0
    if (!isEnd) return true
    const { credits, tokens } = reserved.get(toHex(entry.hold)) ?? { credits: 1n, tokens: 0 }
    return credits > 0n || tokens > (entry.k === 'Settle' ? entry.quotaTokens : 0)
  })
}

/** Those of the entries, in order, that give the chain's head. The rest is void, or moved nothing of this account. */
function pickChain(found: readonly Found[], { entries, head }: LeafChain): readonly Found[] | undefined {
  const surplus = found.length - entries
  if (surplus < 0) return undefined
  // What is most likely void first.
  const order = [...found.filter(({ concern }) => concern === 'maybe'), ...found.filter(({ concern }) => concern === 'sure').reverse()]
  let tries = 0
  for (const out of choices(order, surplus)) {
    if ((tries += 1) > TRIES_MAX) return undefined
    const picked = found.filter((entry) => !out.has(entry))
    let running: Uint8Array | undefined
    for (const { bytes } of picked) running = nextHead(running, bytes)
    if (running !== undefined && bytesEqual(running, head)) return picked
  }
  return undefined
}

/** All sets of `size` of the items; those of the first items first. */
function* choices<Item>(items: readonly Item[], size: number): Generator<ReadonlySet<Item>> {
  const places = Array.from({ length: size }, (_, at) => at)
  while (size <= items.length) {
    yield new Set(places.map((place) => items[place]!))
    let at = 0
    // The lowest place that can move up without meeting the next one moves; those below it go back to the start.
    while (at < size && places[at]! + 1 === (places[at + 1] ?? items.length)) at += 1
    if (at === size) return
    places[at]! += 1
    for (let below = 0; below < at; below += 1) places[below] = below
  }
}

function framesOf(picked: readonly Found[]): readonly StatementFrame[] {
  const frames = new Map<Found['frame'], { index: number; bytes: Uint8Array; path: readonly Uint8Array[] }[]>()
  for (const { frame, index, bytes } of picked) {
    const entries = frames.get(frame) ?? []
    frames.set(frame, entries)
    entries.push({ index, bytes, path: inclusionPath(frame.entryBytes.map(leafHash), index) })
  }
  return [...frames].map(([{ headerBytes, signature }, entries]) => ({ header: headerBytes, signature, entries }))
}
