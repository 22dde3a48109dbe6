/** `lending.json` in a contributor's state folder: what its operator said of hours and models, kept over restarts. */
import { join } from 'node:path'
import { z } from 'zod'
import type { LendingWishes } from '../node/contributor/registrar.ts'
import { availabilitySchema } from '../protocol/messages/contributor.ts'
import { readTextFile, writePrivateFile } from './private-file.ts'

const fileSchema = z.object({ v: z.literal(1), availability: availabilitySchema.default({}), models: z.array(z.string()).max(32).default([]) })

export function lendingFilePath(dir: string): string {
  return join(dir, 'lending.json')
}

export function createLendingFile(dir: string): { load(): Promise<LendingWishes>; save(wishes: LendingWishes): Promise<void> } {
  const path = lendingFilePath(dir)
  return {
    async load() {
      const text = await readTextFile(path)
      if (text === undefined) return { availability: {}, models: [] }
      try {
        const { availability, models } = fileSchema.parse(JSON.parse(text))
        return { availability, models }
      } catch {
        // Wishes are no secret and no money: a damaged file is none.
        return { availability: {}, models: [] }
      }
    },
    save: async ({ availability, models }) => { await writePrivateFile(path, `${JSON.stringify({ v: 1, availability, models }, null, 2)}\n`) },
  }
}
