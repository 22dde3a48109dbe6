/**
 * Switches that break one rule of the ledger each. The simulator (test/sim) plants one after the other and must find
 * every one of them; a rule whose breaking nothing notices is not tested.
 *
 * In production nothing is ever planted: only tests call `plant`, and a tidy test holds the code to that.
 */

export const plantedBugs = [
  /** A batch is acknowledged before it is synced. */
  'ack-before-sync',
  /** A frame goes to the peers before it is on the own disk. */
  'send-before-sync',
  /** An entry that no peer acknowledged in time is called replicated. */
  'local-called-replicated',
  /** A frame is taken though it does not continue the one before it. */
  'no-chain-check',
  /** The end of a log on the disk is taken on trust, whatever the anchor says. */
  'anchor-ignored',
  /** A hub whose log lost frames goes on with the same log. */
  'lost-log-continued',
  /** The id of an entry is not looked up before it is logged. */
  'ids-not-looked-up',
  /** Other content under a known id is answered as known. */
  'conflict-called-known',
  /** A hub that promised to take no more frames of a log takes them. */
  'no-fence',
  /** A hub that lost its disk acknowledges before the others have told what it had promised. */
  'promise-forgotten',
  /** A second log is sealed while the first one's hub is not back. */
  'two-seals',
  /** An isolated hub spends without a bound. */
  'no-island-cap',
  /** Nothing of a sealed log is kept for what its lost end had spent. */
  'nothing-frozen',
  /** The same source mints twice. */
  'double-mint',
  /** Any hub may mint for any account. */
  'mint-anywhere',
  /** A charge is rounded down. */
  'charge-rounded-down',
  /** A hold that is settled is settled again. */
  'settled-twice',
  /** A hold that has expired is settled. */
  'expired-settled',
  /** The quota of the day of the settle counts, not that of the hold. */
  'quota-day-of-settle',
  /** A hub spends the whole day's quota, not its share. */
  'quota-not-shared',
  /** Given rights count at the receiver before it has accepted them. */
  'rights-without-accept',
  /** The same give is accepted twice. */
  'accepted-twice',
  /** The same hold is refunded twice. */
  'refunded-twice',
  /** A superseded hold that was charged is not refunded. */
  'duplicate-kept',
  /** A new vest pays what was paid already. */
  'vest-pays-again',
  /** Intervals that overlap are paid each for itself. */
  'overlap-paid-twice',
  /** Spending goes on while there is debt. */
  'debt-ignored',
  /** A checkpoint is signed over logs that name what is not in it. */
  'open-checkpoint',
  /** One hub's signature makes a change hold. */
  'one-approval',
] as const

export type PlantedBug = typeof plantedBugs[number]

let planted: PlantedBug | undefined

/** True where this bug is switched on, which happens in the simulator only. */
export function isPlanted(bug: PlantedBug): boolean {
  return planted === bug
}

/** For tests only. */
export function plant(bug: PlantedBug | undefined): void {
  planted = bug
}
