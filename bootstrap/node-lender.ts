/** The controls of a node that lends: its settings file, its hours, and what holds its bounds. */
import { createDayHours } from '../node/lending/day-hours.ts'
import { createLender, type AppliedBound, type Lender, type LenderComponents } from '../node/lending/lender.ts'
import { createLendingGate, type LendingGate } from '../node/lending/lending-gate.ts'
import type { LendingStore } from '../node/lending/settings.ts'
import type { SocketShaper } from '../node/net/socket-shaper.ts'
import { toTriforceError } from '../protocol/errors.ts'
import { createPowerCap } from '../providers/power-cap.ts'
import { createUseWatch } from '../providers/use-watch.ts'
import type { NodeConfig } from './config.ts'
import { openLendingFile } from './lending-file.ts'
import { createLentDayFile } from './lent-day-file.ts'
import type { LentHardware } from './node-providers.ts'
import type { System } from './system.ts'

export interface NodeLenderParts extends Pick<LenderComponents, 'account' | 'checkOwner' | 'jobs'> {
  readonly shaper: SocketShaper
  readonly hardware: Pick<LentHardware, 'limitVram'>
}

type BoundState = Omit<AppliedBound, 'what'> | undefined

export interface NodeLender {
  readonly lender: Lender
  readonly gate: LendingGate
  readonly store: LendingStore
  readonly part: { readonly start: () => void; readonly stop: () => Promise<void> }
}

const SAVE_MS = 300_000

const bytesPerSecond = (mbits: number | undefined) => mbits === undefined ? undefined : mbits * 125_000

export async function openNodeLender(config: NodeConfig, { clock, log }: System, { shaper, hardware, ...parts }: NodeLenderParts): Promise<NodeLender> {
  const store = await openLendingFile({ clock }, config.dir)
  const dayFile = createLentDayFile(config.dir)
  const hours = createDayHours({ clock, known: await dayFile.load() })
  const use = createUseWatch({ clock, running: () => parts.jobs().running, onChange: () => gate.look() })
  const power = createPowerCap()
  const gate: LendingGate = createLendingGate({ clock, store, hours, inUseBy: () => use.usedBy })
  let cancelSave = (): void => {}

  let vramBound: BoundState
  let powerBound: BoundState
  let watts: number | undefined
  let powerWork: Promise<void> = Promise.resolve()

  function hold(): void {
    const { uploadMbits, downloadMbits, vramGib, powerWatts, yieldTo = 'off' } = store.settings.controls
    shaper.bound({ sendPerSecond: bytesPerSecond(uploadMbits), readPerSecond: bytesPerSecond(downloadMbits) })
    vramBound = hardware.limitVram(vramGib)
    use.watch(yieldTo)
    if (powerWatts !== watts) powerWork = boundPower(powerWatts)
  }

  async function boundPower(wanted: number | undefined): Promise<void> {
    watts = wanted
    const state = await power.set(wanted)
    // A newer wish is on its way.
    if (watts === wanted) powerBound = state
  }

  function bounds(): AppliedBound[] {
    return [...(vramBound === undefined ? [] : [{ what: 'vram' as const, ...vramBound }]), ...(powerBound === undefined ? [] : [{ what: 'power' as const, ...powerBound }])]
  }
  hold()
  store.onChange(hold)

  async function save(): Promise<void> {
    // Without a bound nobody asks for it.
    if (store.settings.availability.hoursPerDay === undefined) return
    await dayFile.save(hours.lent).catch((reason: unknown) => {
      log.child('lending').warn('the hours of today could not be written', { cause: String(toTriforceError(reason).cause) })
    })
  }

  function saveLater(): void {
    cancelSave = clock.after(SAVE_MS, () => {
      void save()
      saveLater()
    })
  }

  return {
    store,
    gate,
    lender: createLender({ ...parts, clock, store, gate, lentTodayMs: () => hours.lent.ms, bounds, settled: () => powerWork }),
    part: {
      start: () => {
        store.start()
        gate.start()
        saveLater()
      },
      stop: async () => {
        cancelSave()
        store.stop()
        use.stop()
        if (watts !== undefined) await boundPower(undefined)
        gate.stop()
        await save()
      },
    },
  }
}
