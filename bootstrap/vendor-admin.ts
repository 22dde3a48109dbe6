/** The vendors of a hub as its admin sees and changes them: what was added is kept sealed and goes before the environment. */
import { TriforceError, toTriforceError } from '../protocol/errors.ts'
import type { VendorAdmin, VendorInfo } from '../node/gateway.ts'
import { checkVendorUrl } from '../providers/cloud/address-guard.ts'
import type { CloudAccess, Clouds } from '../providers/cloud/clouds.ts'
import type { AddedVendor, VendorFile } from './vendor-file.ts'

export interface VendorAdminComponents {
  readonly clouds: Clouds
  readonly file: VendorFile
  /** Of the environment: what a removal falls back to. */
  readonly environment: readonly CloudAccess[]
}

/** What was added, as the clouds take it. */
export function accessOf({ vendor, key, baseUrl, family, allowPrivate }: AddedVendor): CloudAccess {
  return { vendor, key, baseUrl, family, guarded: !allowPrivate }
}

/** Both together: of a vendor that is in both, what the admin added. */
export function mergedAccess(environment: readonly CloudAccess[], added: readonly AddedVendor[]): CloudAccess[] {
  return [...environment.filter(({ vendor }) => !added.some((one) => one.vendor === vendor)), ...added.map(accessOf)]
}

export function createVendorAdmin({ clouds, file, environment }: VendorAdminComponents): VendorAdmin {
  // One change after the other, so that no change of the file is lost.
  let last: Promise<unknown> = Promise.resolve()
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = last.then(work, work)
    last = next.catch(() => undefined)
    return next
  }

  async function infoOf(vendor: string): Promise<VendorInfo> {
    const info = (await list()).find((one) => one.vendor === vendor)
    if (info === undefined) throw new TriforceError('NOT_FOUND', {}, { detail: `this hub has no key for a provider "${vendor.slice(0, 40)}"` })
    return info
  }

  async function list(): Promise<readonly VendorInfo[]> {
    const added = await file.read()
    const access = mergedAccess(environment, added)
    return clouds.keyed().map((provider) => {
      const own = access.find(({ vendor }) => vendor === provider.vendor)
      return {
        vendor: provider.vendor, keyEnd: keyEnd(own?.key ?? ''), source: added.some(({ vendor }) => vendor === provider.vendor) ? 'added' : 'environment',
        baseUrl: provider.baseUrl, models: provider.models().length, ...provider.health(),
      }
    })
  }

  return {
    list,
    add: (wanted) => inTurn(async () => {
      const { vendor, key, baseUrl, family, allowPrivate } = wanted
      const entry: AddedVendor = { vendor, key, allowPrivate, ...(baseUrl === undefined ? {} : { baseUrl }), ...(family === undefined ? {} : { family }) }
      // First the vendors: what they refuse is not kept.
      try {
        if (baseUrl !== undefined) checkVendorUrl(baseUrl, { allowPrivate })
        await clouds.put(accessOf(entry))
      } catch (error) {
        throw new TriforceError('BAD_REQUEST', {}, { detail: toTriforceError(error).message, cause: error })
      }
      await file.write([...(await file.read()).filter((one) => one.vendor !== vendor), entry])
      return infoOf(vendor)
    }),
    remove: (vendor) => inTurn(async () => {
      const added = await file.read()
      if (!added.some((one) => one.vendor === vendor)) {
        if (environment.some((one) => one.vendor === vendor)) {
          throw new TriforceError('BAD_REQUEST', {}, { detail: `the key of ${vendor} comes from the environment of this hub; take it out there and start the hub again` })
        }
        throw new TriforceError('NOT_FOUND', {}, { detail: `no provider "${vendor.slice(0, 40)}" was added to this hub` })
      }
      await file.write(added.filter((one) => one.vendor !== vendor))
      const before = environment.find((one) => one.vendor === vendor)
      if (before === undefined) clouds.remove(vendor)
      else await clouds.put(before)
    }),
    test: async (vendor) => {
      await clouds.vendor(vendor)?.refresh()
      return infoOf(vendor)
    },
  }
}

/** The end by which its owner knows a key; of a short one nothing, since it would be most of it. */
function keyEnd(key: string): string {
  return key.length < 16 ? '' : key.slice(-4)
}
