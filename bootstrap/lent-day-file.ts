/** `lent-day.json` in a contributor's state folder: how long it was lent today, so that a restart does not begin the day anew. */
import { join } from 'node:path'
import { z } from 'zod'
import type { LentDay } from '../node/lending/day-hours.ts'
import { readTextFile, writePrivateFile } from './private-file.ts'

const fileSchema = z.object({ v: z.literal(1), day: z.number().int(), ms: z.number().min(0) })

export function createLentDayFile(dir: string): { load(): Promise<LentDay | undefined>; save(lent: LentDay): Promise<void> } {
  const path = join(dir, 'lent-day.json')
  return {
    async load() {
      try {
        const text = await readTextFile(path)
        return text === undefined ? undefined : fileSchema.parse(JSON.parse(text))
      } catch {
        // At worst the machine is lent some hours more today.
        return undefined
      }
    },
    save: ({ day, ms }) => writePrivateFile(path, `${JSON.stringify({ v: 1, day, ms: Math.floor(ms) })}\n`),
  }
}
