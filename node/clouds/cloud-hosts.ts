/**
 * Which hubs reach which vendor's models: what they announced, with the catalogues that those announcements name. A
 * catalogue is asked for once by any hub that offers it, checked against its revision, and kept while somebody announces it.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/codec.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { CATALOGUE_MODELS_MAX } from '../../protocol/limits.ts'
import type { CloudOffer } from '../../protocol/messages/capacity.ts'
import { cataloguePageSchema, catalogueRevision, type CatalogueModel } from '../../protocol/messages/catalogue.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { fromWireError } from '../../protocol/wire-error.ts'
import type { CapacityRow, CapacityTable } from '../capacity/table.ts'
import type { Requests } from '../net/requests.ts'
import type { OwnClouds } from './own-clouds.ts'

export interface CloudHostsComponents {
  readonly table: Pick<CapacityTable, 'get' | 'onChange'>
  readonly own: Pick<OwnClouds, 'catalogue'>
  readonly requests: Requests
  readonly isSelf: (peer: string) => boolean
  readonly clock: Clock
  readonly log: Log
}

export interface CloudHostsOptions {
  /** Peer ids of the hubs: nobody else may offer vendors. */
  readonly hubs: readonly string[]
  /** Time for one page. Default 5_000 ms. */
  readonly pageMsMax?: number
}

/** A vendor's model at a hub. */
export interface CloudHost {
  readonly row: CapacityRow
  readonly offer: CloudOffer
  readonly model: CatalogueModel
}

export interface VendorModel {
  readonly model: CatalogueModel
  readonly vendor: string
  /** Hubs that reach it. */
  readonly hosts: number
  /** Unix milliseconds since when this hub knows its catalogue. */
  readonly firstSeenAt: number
}

export interface CloudHosts {
  /** Hubs that reach this model now; empty for an unknown id. */
  find(modelId: string): readonly CloudHost[]
  /** All models that some hub reaches, each once, by id. The same list until something changes. */
  models(): readonly VendorModel[]
  stop(): void
}

interface Catalogue {
  readonly models: readonly CatalogueModel[]
  readonly firstSeenAt: number
}

interface Listing {
  readonly byId: ReadonlyMap<string, readonly CloudHost[]>
  readonly models: readonly VendorModel[]
}

const NOTHING: Listing = { byId: new Map(), models: [] }

export function createCloudHosts(components: CloudHostsComponents, options: CloudHostsOptions): CloudHosts {
  const { table, own, requests, isSelf, clock } = components
  const log = components.log.child('clouds')
  const { hubs, pageMsMax = 5_000 } = options
  const catalogues = new Map<string, Catalogue>()
  const asking = new Set<string>()
  /** Made anew when an announcement changed what is offered. */
  let listing: Listing | undefined
  let announced = ''

  function offersNow(): { readonly row: CapacityRow; readonly offer: CloudOffer }[] {
    return hubs.flatMap((hub) => {
      const row = table.get(hub)
      return row === undefined || row.capacity.draining ? [] : (row.capacity.clouds ?? []).map((offer) => ({ row, offer }))
    })
  }

  function look(): void {
    const offers = offersNow()
    const names = new Set(offers.map(({ offer }) => keyOf(offer)))
    for (const key of catalogues.keys()) if (!names.has(key)) catalogues.delete(key)
    for (const { row, offer } of offers) {
      const key = keyOf(offer)
      if (catalogues.has(key)) continue
      const mine = isSelf(row.peer) ? own.catalogue(offer.vendor) : undefined
      if (mine !== undefined) keep(key, mine)
      else if (!isSelf(row.peer) && !asking.has(key)) void ask(row.peer, offer)
    }
    listing = undefined
  }

  function keep(key: string, models: readonly CatalogueModel[]): void {
    catalogues.set(key, { models, firstSeenAt: clock.now() })
    listing = undefined
  }

  /** Where it fails, the next announcement of a hub that has it brings the next try. */
  async function ask(peer: string, offer: CloudOffer): Promise<void> {
    const key = keyOf(offer)
    asking.add(key)
    try {
      keep(key, await readCatalogue(peer, offer))
    } catch (reason) {
      log.info('catalogue not read', { vendor: offer.vendor, peer, code: toTriforceError(reason).code })
    } finally {
      asking.delete(key)
    }
  }

  async function readCatalogue(peer: string, { vendor, revision }: CloudOffer): Promise<readonly CatalogueModel[]> {
    const models: CatalogueModel[] = []
    for (;;) {
      const tell = await requests.ask(peer, { t: 'catalogue', vendor, revision, from: models.length }, { waitMsMax: pageMsMax })
      if (tell.t === 'error') throw fromWireError(tell)
      if (tell.t !== 'ok') throw new TriforceError('PROTOCOL_VIOLATION', { answer: tell.t })
      const page = decode(cataloguePageSchema, tell.body)
      models.push(...page.models)
      if (models.length > CATALOGUE_MODELS_MAX) throw new TriforceError('PROTOCOL_VIOLATION', { models: models.length })
      if (models.length >= page.total) break
      if (page.models.length === 0) throw new TriforceError('PROTOCOL_VIOLATION', { page: 'empty' })
    }
    const isWhole = bytesEqual(catalogueRevision(models), revision) && models.every(({ id }) => id.startsWith(`${vendor}/`))
    if (!isWhole) throw new TriforceError('PROTOCOL_VIOLATION', { vendor }, { detail: 'the catalogue is not the one that was announced' })
    return models
  }

  function list(): Listing {
    const byId = new Map<string, CloudHost[]>()
    for (const { row, offer } of offersNow()) {
      for (const model of catalogues.get(keyOf(offer))?.models ?? []) {
        const known = byId.get(model.id)
        if (known === undefined) byId.set(model.id, [{ row, offer, model }])
        else known.push({ row, offer, model })
      }
    }
    const models = [...byId.values()].map((hosts) => ({ model: hosts[0]!.model, vendor: hosts[0]!.offer.vendor, hosts: hosts.length, firstSeenAt: catalogues.get(keyOf(hosts[0]!.offer))!.firstSeenAt }))
    return { byId, models: models.sort((a, b) => a.model.id < b.model.id ? -1 : 1) }
  }

  /** What hubs offer hardly ever changes, and 1,000 models are not listed for each request. */
  function current(): Listing {
    const offers = offersNow()
    const now = offers.map(({ row }) => `${row.peer} ${row.capacity.seq}`).join(' ')
    if (listing === undefined || now !== announced) {
      announced = now
      listing = offers.length === 0 ? NOTHING : list()
    }
    return listing
  }

  const stop = table.onChange(look)
  look()
  return {
    find: (modelId) => current().byId.get(modelId) ?? [],
    models: () => current().models,
    stop,
  }
}

function keyOf({ vendor, revision }: CloudOffer): string {
  return `${vendor} ${toHex(revision)}`
}
