/**
 * `lending.json` in a contributor's state folder: what its operator said of hours, models and bounds. Commands write it, and
 * people may while the node runs: it is read again when it has changed. What does not read is never overwritten.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import type { Clock } from '../protocol/ports.ts'
import { scheduleOf } from '../node/lending/schedule.ts'
import { changed, lendingSettingsSchema, type LendingSettings, type LendingStore } from '../node/lending/settings.ts'
import { readTextFile, writePrivateFile } from './private-file.ts'

export interface LendingFile extends LendingStore {
  start(): void
  stop(): void
}

/** How long a change by hand may go unseen. */
const LOOK_MS = 2_000

export function lendingFilePath(dir: string): string {
  return join(dir, 'lending.json')
}

export async function openLendingFile({ clock }: { readonly clock: Clock }, dir: string): Promise<LendingFile> {
  const path = lendingFilePath(dir)
  const listeners = new Set<() => void>()
  let settings: LendingSettings = { availability: {}, models: [], controls: {} }
  let problem: string | undefined
  let seen = ''
  let cancel = (): void => {}
  /** One at a time, or of two changes at once the second would undo the first. */
  let work: Promise<void> = Promise.resolve()

  function inTurn(run: () => Promise<void>): Promise<void> {
    const done = work.then(run)
    work = done.catch(() => {})
    return done
  }

  /** Size and times of the file; empty where there is none. */
  async function stampOf(): Promise<string> {
    const found = await stat(path).catch(() => undefined)
    return found === undefined ? '' : `${found.mtimeMs} ${found.ino} ${found.size}`
  }

  async function read(): Promise<void> {
    const stamp = await stampOf()
    if (stamp === seen) return
    seen = stamp
    try {
      const text = await readTextFile(path)
      settings = text === undefined ? { availability: {}, models: [], controls: {} } : parsed(text)
      problem = undefined
    } catch (reason) {
      problem = `${path} ${reason instanceof z.ZodError ? issueOf(reason) : reason instanceof SyntaxError ? 'is no valid JSON' : toTriforceError(reason).message}`
    }
    for (const listener of listeners) listener()
  }

  function look(): void {
    cancel = clock.after(LOOK_MS, () => {
      void inTurn(read).then(look)
    })
  }

  await read()
  return {
    get settings() { return settings },
    get problem() { return problem },
    onChange(listener) { listeners.add(listener) },
    change: (change) => inTurn(async () => {
      await read()
      if (problem !== undefined) throw new TriforceError('CONFIG_INVALID', {}, { detail: `${problem}; correct or remove it first` })
      const next = checked(changed(settings, change))
      await writePrivateFile(path, `${JSON.stringify({ v: 1, ...next }, null, 2)}\n`)
      await read()
    }),
    start: look,
    stop: () => cancel(),
  }
}

function parsed(text: string): LendingSettings {
  const { availability, models, controls } = lendingSettingsSchema.parse(JSON.parse(text))
  return checked({ availability, models, controls })
}

/** Throws BAD_REQUEST where the schedule cannot be. */
function checked(settings: LendingSettings): LendingSettings {
  scheduleOf(settings.availability)
  return settings
}

function issueOf({ issues }: z.ZodError): string {
  const [issue] = issues
  return `cannot be used: ${issue?.path.map(String).join('.') || 'its top level'}: ${issue?.message ?? ''}`
}
