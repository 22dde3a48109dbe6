/** What a vendor offers now: its list, read again from time to time; before that the list on disk, or the well-known models. */
import { toTriforceError } from '../../protocol/errors.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import type { CloudModel, ProviderHealth } from '../interface.ts'
import { readCatalogue, writeCatalogue } from './catalogue-file.ts'
import { cloudModelOf } from './model-facts.ts'
import type { Vendor } from './vendor.ts'
import type { ListedModel } from './wire.ts'

export interface CatalogueComponents {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Throws a TriforceError. */
  readonly list: (signal: AbortSignal) => Promise<readonly ListedModel[]>
}

export interface CatalogueOptions {
  readonly vendor: Vendor
  /** Where the list is kept; undefined: nowhere. */
  readonly file?: string | undefined
  /** Default 6 h, with a tenth of jitter. */
  readonly refreshMs?: number
  /** After a list that could not be read. Default 5 min, with the same jitter. */
  readonly retryMs?: number
  /** One reading. Default 15,000 ms, less than the command line waits for a hub. */
  readonly readMsMax?: number
}

export const catalogueDefaults = Object.freeze({ refreshMs: 6 * 3_600_000, retryMs: 5 * 60_000, readMsMax: 15_000 })

export interface Catalogue {
  models(): readonly CloudModel[]
  health(): ProviderHealth
  onChange(listener: () => void): () => void
  /** Takes the list from disk; then reads the vendor's, again and again. Resolves after the first look, however it ended. */
  start(): Promise<void>
  refresh(): Promise<void>
  close(): Promise<void>
}

export function createCatalogue({ clock, random, log, list }: CatalogueComponents, options: CatalogueOptions): Catalogue {
  const { vendor, file, refreshMs, retryMs, readMsMax } = { ...catalogueDefaults, ...options }
  const listeners = new Set<() => void>()
  const closing = new AbortController()
  let models = modelsOf(vendor.fallbackModels.map((id) => ({ id })))
  let readAt: number | undefined
  let problem: string | undefined
  let reading: Promise<void> | undefined
  let cancelTimer = (): void => {}

  async function read(): Promise<void> {
    cancelTimer()
    let waitMs = refreshMs
    const stopReading = new AbortController()
    const cancelDeadline = clock.after(readMsMax, () => stopReading.abort())
    try {
      const listed = await list(AbortSignal.any([closing.signal, stopReading.signal]))
      readAt = clock.now()
      put(listed, undefined)
      if (file !== undefined) await writeCatalogue(file, { readAt, models: listed })
    } catch (error) {
      if (closing.signal.aborted) return
      waitMs = retryMs
      const known = toTriforceError(error, 'VENDOR_FAILED')
      const before = problem
      problem = known.message
      if (before !== problem) log.warn('the list of models of a vendor could not be read', { vendor: vendor.id, code: known.code, reason: known.message })
      if (before === undefined) listeners.forEach((listener) => listener())
    } finally {
      cancelDeadline()
    }
    if (!closing.signal.aborted) cancelTimer = clock.after(waitMs * (0.9 + 0.2 * random.unit()), () => { void refresh() })
  }

  function put(listed: readonly ListedModel[], problemNow: string | undefined): void {
    const before = JSON.stringify([models, problem])
    models = modelsOf(listed)
    problem = problemNow
    if (JSON.stringify([models, problem]) !== before) listeners.forEach((listener) => listener())
  }

  function modelsOf(listed: readonly ListedModel[]): readonly CloudModel[] {
    return listed.flatMap((one) => cloudModelOf(vendor, one) ?? []).sort((one, other) => one.id < other.id ? -1 : 1)
  }

  async function refresh(): Promise<void> {
    reading ??= read().finally(() => { reading = undefined })
    await reading
  }

  return {
    models: () => models,
    health() {
      const count = `${models.length} ${models.length === 1 ? 'model' : 'models'}`
      if (problem !== undefined) return { ok: false, text: `${problem}; ${count} of ${readAt === undefined ? 'the built-in list' : 'an earlier list'}` }
      return { ok: true, text: readAt === undefined ? `${vendor.name}: ${count} of the built-in list` : `${vendor.name}: ${count}` }
    },
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    async start() {
      const stored = file === undefined ? undefined : await readCatalogue(file)
      if (stored !== undefined) {
        readAt = stored.readAt
        put(stored.models, undefined)
      }
      await refresh()
    },
    refresh,
    async close() {
      cancelTimer()
      closing.abort()
      await reading
    },
  }
}
