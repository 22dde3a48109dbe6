/** A binary heap of what is due at a time, earliest first. */

export interface Due { readonly atMs: number; readonly hold: string }

export function pushDue(heap: Due[], due: Due): void {
  let place = heap.length
  heap.push(due)
  while (place > 0) {
    const parent = (place - 1) >> 1
    if (heap[parent]!.atMs <= due.atMs) break
    heap[place] = heap[parent]!
    place = parent
  }
  heap[place] = due
}

/** The earliest, where it is due before `nowMs`. */
export function popDue(heap: Due[], nowMs: number): Due | undefined {
  const first = heap[0]
  if (first === undefined || first.atMs >= nowMs) return undefined
  const last = heap.pop()!
  if (heap.length === 0) return first
  let place = 0
  for (;;) {
    let child = 2 * place + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child += 1
    if (heap[child]!.atMs >= last.atMs) break
    heap[place] = heap[child]!
    place = child
  }
  heap[place] = last
  return first
}
