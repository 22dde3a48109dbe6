/**
 * Which host takes a job: a pure function of what is known. Gives hosts in the order in which to ask them.
 * The first is the better of two random ones, so that many hubs that see the same table do not all choose the same
 * host; the rest follow by the time that an answer is expected to take. A host that has the beginning of the prompt in
 * its memory comes first where it is not much slower.
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
  /** Measured for one answer; 0 before the first. */
  readonly tokensPerSecond: number
  /** Of the model; 0 where unknown. */
  readonly parameters: number
  /** It has answered to the beginning of this prompt. */
  readonly affine?: boolean
}

/** Half of the answers are shorter; what matters is that it is the same for all hosts. */
const ANSWER_TOKENS = 256
/** For a host that has not shown its speed: a middling one, or newcomers would get all jobs, or none. */
const SPEED_UNKNOWN = 20
/** An engine with all slots busy gives each answer about half the speed it gives one alone. */
const FULL_SLOWDOWN = 1
/** To load a model: a start of the engine, and a gigabyte a second at half a byte for each parameter. */
const LOAD_MS = 2_000
const LOAD_MS_PER_PARAMETER = 0.5 / 1_000_000
const PARAMETERS_UNKNOWN = 8_000_000_000
/** A prompt that is known saves up to two thirds of the whole time (published: 3,697 to 1,260 ms), so twice the time is worth it. */
const AFFINE_SLOWER_MAX = 2

const loadOf = ({ announcedLoad, ownLoad }: PlacementCandidate) => Math.max(announcedLoad, ownLoad)

export function isFull(candidate: PlacementCandidate): boolean {
  return loadOf(candidate) >= candidate.slotsTotal
}

/** Milliseconds until one more answer begins: its turn, and the loading of the model. */
export function expectedWaitMs(candidate: PlacementCandidate): number {
  return waitMs(candidate, answerMs(candidate))
}

/** Milliseconds until its end. */
export function expectedMs(candidate: PlacementCandidate): number {
  const answer = answerMs(candidate)
  return waitMs(candidate, answer) + Math.round(answer)
}

function waitMs(candidate: PlacementCandidate, answer: number): number {
  const { loaded, parameters } = candidate
  const slots = slotsOf(candidate)
  const before = Math.max(0, loadOf(candidate) - slots + 1)
  const loadMs = loaded ? 0 : LOAD_MS + LOAD_MS_PER_PARAMETER * (parameters > 0 ? parameters : PARAMETERS_UNKNOWN)
  return Math.round(before * answer / slots + loadMs)
}

/** Part of its slots that would be taken with one more job; above 1 it waits. */
export function loadShare(candidate: PlacementCandidate): number {
  return (loadOf(candidate) + 1) / slotsOf(candidate)
}

const slotsOf = ({ slotsTotal }: PlacementCandidate) => Math.max(slotsTotal, 1)

/** Shared with what else it computes then. */
function answerMs(candidate: PlacementCandidate): number {
  const { tokensPerSecond } = candidate
  const aloneMs = ANSWER_TOKENS * 1_000 / (tokensPerSecond > 0 ? tokensPerSecond : SPEED_UNKNOWN)
  const slots = slotsOf(candidate)
  return aloneMs * (1 + FULL_SLOWDOWN * Math.min(loadOf(candidate), slots) / slots)
}

/** `unit` gives numbers in [0, 1). */
export function placeJob<Candidate extends PlacementCandidate>(candidates: readonly Candidate[], unit: () => number): Candidate[] {
  if (!candidates.some(({ coolingDown }) => coolingDown)) return twoChoices(candidates, unit)
  const cooling = candidates.filter(({ coolingDown }) => coolingDown)
  return [...twoChoices(candidates.filter(({ coolingDown }) => !coolingDown), unit), ...twoChoices(cooling, unit)]
}

function twoChoices<Candidate extends PlacementCandidate>(candidates: readonly Candidate[], unit: () => number): Candidate[] {
  // Equal hosts come in random order, or the first one in the table would get every job.
  const byTime = candidates
    .map((candidate) => ({ candidate, ms: expectedMs(candidate), tie: unit() }))
    .sort((a, b) => a.ms - b.ms || a.tie - b.tie)
  const affine = byTime.find(({ candidate }) => candidate.affine === true && !isFull(candidate))
  if (affine !== undefined && affine.ms <= byTime[0]!.ms * AFFINE_SLOWER_MAX) return firstOf(affine, byTime)
  if (byTime.length < 3) return byTime.map(({ candidate }) => candidate)
  const one = Math.floor(unit() * byTime.length)
  const other = (one + 1 + Math.floor(unit() * (byTime.length - 1))) % byTime.length
  return firstOf(byTime[Math.min(one, other)]!, byTime)
}

function firstOf<Candidate>(first: { readonly candidate: Candidate }, all: readonly { readonly candidate: Candidate }[]): Candidate[] {
  const ordered = [first.candidate]
  for (const one of all) if (one !== first) ordered.push(one.candidate)
  return ordered
}
