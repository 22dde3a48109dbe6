/**
 * Which host takes a job: a pure function of what is known. Gives hosts in the order in which to ask them.
 * The first is the better of two random ones, so that many hubs that see the same table do not all choose the same
 * host; the rest follow by load.
 */
export interface PlacementCandidate {
  readonly peer: string
  readonly slotsTotal: number
  /** Busy and queued as announced. */
  readonly announcedLoad: number
  /** Jobs that this node has running there, which the announcement may not show yet. */
  readonly ownLoad: number
  readonly loaded: boolean
  /** Failed a moment ago; asked last, but asked where there is no other. */
  readonly coolingDown: boolean
}

/** Jobs per slot if one more came; a model that must be loaded first counts as one more job. */
export function expectedLoad(candidate: PlacementCandidate): number {
  const load = Math.max(candidate.announcedLoad, candidate.ownLoad) + (candidate.loaded ? 1 : 2)
  return load / Math.max(candidate.slotsTotal, 1)
}

/** `unit` gives numbers in [0, 1). */
export function placeJob(candidates: readonly PlacementCandidate[], unit: () => number): string[] {
  const healthy = candidates.filter((candidate) => !candidate.coolingDown)
  const cooling = candidates.filter((candidate) => candidate.coolingDown)
  return [...twoChoices(healthy, unit), ...twoChoices(cooling, unit)].map((candidate) => candidate.peer)
}

function twoChoices(candidates: readonly PlacementCandidate[], unit: () => number): PlacementCandidate[] {
  // Equal hosts come in random order, or the first one in the table would get every job.
  const byLoad = candidates
    .map((candidate) => ({ candidate, load: expectedLoad(candidate), tie: unit() }))
    .sort((a, b) => a.load - b.load || a.tie - b.tie)
    .map(({ candidate }) => candidate)
  if (byLoad.length < 3) return byLoad
  const one = Math.floor(unit() * byLoad.length)
  const other = (one + 1 + Math.floor(unit() * (byLoad.length - 1))) % byLoad.length
  const first = byLoad[Math.min(one, other)]!
  return [first, ...byLoad.filter((candidate) => candidate !== first)]
}
