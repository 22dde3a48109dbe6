/** Numbers that the fold depends on. A change of any of them is a new `rules` version of frames, never an edit. */

export const MS_PER_DAY = 86_400_000
export const MS_PER_HOUR = 3_600_000

export function dayOf(tsMs: number): number {
  return Math.floor(tsMs / MS_PER_DAY)
}

/**
 * µcr that one account may spend at a hub which no other hub answers, and what is kept frozen of each account when that
 * hub's log is sealed: about two hours of a busy user at the plan's middle price (20k tokens an hour, 5 credits per 1k).
 */
export const ISLAND_CAP_MICRO_CREDITS = 200_000_000n

/** µcr of all accounts together that one isolated hub may spend: what its disk can lose at most. */
export const ISLAND_HUB_CAP_MICRO_CREDITS = 20_000_000_000n

/** µcr that one hub may grant in a UTC day; above it a second hub must sign. */
export const GRANTS_PER_DAY_MICRO_CREDITS = 1_000_000_000_000n

/** µcr of purchases that one hub may log in a UTC day: what a hub in the wrong hands could make of payments that nobody made. */
export const PURCHASES_PER_DAY_MICRO_CREDITS = 10_000_000_000_000n

/** Frozen rights of a sealed log are released after this time if its hub does not come back. */
export const ISLAND_RELEASE_MS = 24 * MS_PER_HOUR

/** Half of the pay is held back until a contributor's first fact is this old and it has that many receipts signed by both sides. */
export const NEWCOMER_MS = 7 * MS_PER_DAY
export const NEWCOMER_RECEIPTS = 50

/** System accounts. Each is the other side of what it is named after. */
export const PROMO = 'system:PROMO'
export const FIAT_IN = 'system:FIAT_IN'
export const REVENUE = 'system:REVENUE'
export const CONTRIBUTOR_EXPENSE = 'system:CONTRIB_EXPENSE'
/** What a hub's lost or second history cost; one for each hub, `system:LOSS/0` to `/2`. */
export const lossOf = (hub: number) => `system:LOSS/${hub}`
