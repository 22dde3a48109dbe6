/**
 * Have `ms` milliseconds passed since `sinceMs`, by a wall clock? Also where that time is still to come: the clock was set back since,
 * and what waits would wait until the clock is there once more.
 */
export function hasPassed(ms: number, { sinceMs, nowMs }: { readonly sinceMs: number; readonly nowMs: number }): boolean {
  return nowMs - sinceMs >= ms || nowMs < sinceMs
}
