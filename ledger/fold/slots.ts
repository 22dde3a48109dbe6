/**
 * Keys of holds and gives. A hub that lost its disk may log the same request again in its new log, while the old log's
 * entry turns up later. Both count, and which key each has must not depend on which came first: the plain id is for the
 * lower epoch, the other one has its log in the key.
 */
import type { EntryId, LogName } from './state.ts'

/** The log that wrote what has this key; undefined where nothing has it. */
export type OwnerOf = (key: EntryId) => LogName | undefined

/** Lower epoch, then lower hub. */
function isBefore(a: LogName, b: LogName): boolean {
  const [hubA, epochA] = a.split('/').map(Number)
  const [hubB, epochB] = b.split('/').map(Number)
  return epochA! < epochB! || epochA === epochB && hubA! < hubB!
}

export const slotOf = (id: EntryId, log: LogName) => `${id}@${log}`

/** Key of what `log` wrote under this id; undefined where it wrote nothing. */
export function keyIn(id: EntryId, log: LogName, ownerOf: OwnerOf): EntryId | undefined {
  const owner = ownerOf(id)
  if (owner === undefined || owner === log) return owner === undefined ? undefined : id
  const slot = slotOf(id, log)
  return ownerOf(slot) === undefined ? undefined : slot
}

/** The key for something new. `move` is told first where the one that has the plain id goes, if it must. */
export function newKey(id: EntryId, log: LogName, ownerOf: OwnerOf, move: (from: EntryId, to: EntryId) => void): EntryId {
  const owner = ownerOf(id)
  if (owner === undefined) return id
  if (isBefore(owner, log)) return slotOf(id, log)
  move(id, slotOf(id, owner))
  return id
}
