/** What another process has used so far, from /proc; NaN where there is none. */
import { readFileSync } from 'node:fs'

/** Linux counts a process's time in hundredths of a second, whatever its timer does (USER_HZ, proc(5)). */
const TICK_MS = 10

/** Processor time of all its threads, in user and system mode, milliseconds. */
export function cpuMs(pid: number): number {
  try {
    // The name in parentheses may hold spaces; the two times are fields 14 and 15 (proc(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return Number.NaN
  }
}

/** Resident memory, MB. */
export function residentMb(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024
  } catch {
    return Number.NaN
  }
}
