/** All vendors of a hub: those known by name, with a key or without, and those that an admin added. */
import { join } from 'node:path'
import { TriforceError } from '../../protocol/errors.ts'
import { CLOUDS_MAX } from '../../protocol/limits.ts'
import type { CloudModel } from '../interface.ts'
import { publicConnector } from './address-guard.ts'
import { createCloudProvider, type CloudProviderComponents, type CloudProviderOptions, type StartedCloudProvider } from './cloud-provider.ts'
import { vendors as knownVendors, customVendor, vendorNamed } from './vendors.ts'
import type { Vendor, WireFamily } from './vendor.ts'

/** What makes a vendor usable. A vendor that is not known by name needs `baseUrl`. */
export interface CloudAccess {
  /** Id of the vendor: lower-case letters, digits, `-` and `_`. */
  readonly vendor: string
  readonly key: string
  readonly baseUrl?: string | undefined
  /** Of a vendor that is not known by name. Default `openai`. */
  readonly family?: WireFamily | undefined
  /** True: `baseUrl` may only lead to public machines. Whoever sets the environment of a hub runs it, and is not guarded. */
  readonly guarded?: boolean | undefined
}

export interface CloudsOptions {
  readonly access: readonly CloudAccess[]
  /** Folder of the lists of models; undefined: they are not kept. */
  readonly cacheDir?: string | undefined
  readonly provider?: Omit<CloudProviderOptions, 'vendor' | 'key' | 'baseUrl'>
}

export interface Clouds {
  /** Vendors that this hub has a key for. */
  keyed(): readonly StartedCloudProvider[]
  /** Any vendor known by name or added, also without a key: accounts may bring their own. */
  vendor(id: string): StartedCloudProvider | undefined
  /** Models of all vendors with a key. */
  models(): readonly CloudModel[]
  /** Calls back when `models()` or a vendor has changed; gives a function that stops it. */
  onChange(listener: () => void): () => void
  /** Reads all lists of models; resolves after the first look at each, or after `waitMsMax` (default 3,000). Call it once. */
  start(options?: { readonly waitMsMax?: number }): Promise<void>
  /** Adds a vendor or replaces its key. Throws CONFIG_INVALID. */
  put(access: CloudAccess): Promise<void>
  /** Takes the key of a vendor away; gives false where there was none. */
  remove(vendor: string): boolean
  close(): Promise<void>
}

const START_WAIT_MS_MAX = 3_000
const VENDOR_ID = /^[a-z0-9][a-z0-9_-]{0,31}$/

export function createClouds(components: CloudProviderComponents, options: CloudsOptions): Clouds {
  const { clock } = components
  const providers = new Map<string, StartedCloudProvider>()
  const stops = new Map<string, () => void>()
  const listeners = new Set<() => void>()
  /** Replaced, and still answering. */
  const retired = new Set<StartedCloudProvider>()
  const tell = (): void => listeners.forEach((listener) => listener())
  for (const known of knownVendors) set(create(known, undefined))
  for (const access of options.access) set(create(vendorOf(access), access))

  function create(vendor: Vendor, access: CloudAccess | undefined): StartedCloudProvider {
    return createCloudProvider(components, {
      ...options.provider, vendor, key: access?.key, baseUrl: access?.baseUrl,
      ...(access?.baseUrl !== undefined && access.guarded === true ? { connect: publicConnector() } : {}),
      catalogue: { ...options.provider?.catalogue, ...(options.cacheDir === undefined ? {} : { file: join(options.cacheDir, `${vendor.id}.json`) }) },
    })
  }

  function set(provider: StartedCloudProvider): StartedCloudProvider | undefined {
    const before = providers.get(provider.vendor)
    stops.get(provider.vendor)?.()
    providers.set(provider.vendor, provider)
    stops.set(provider.vendor, provider.onChange(tell))
    return before
  }

  /** What it answers now goes on; a new key must not cost a running answer. */
  async function retire(provider: StartedCloudProvider | undefined): Promise<void> {
    if (provider === undefined) return
    retired.add(provider)
    await provider.retire()
    retired.delete(provider)
  }

  return {
    keyed: () => [...providers.values()].filter(({ hasKey }) => hasKey),
    vendor: (id) => providers.get(id),
    models: () => [...providers.values()].flatMap((provider) => provider.models()),
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    async start({ waitMsMax = START_WAIT_MS_MAX } = {}) {
      const waited = Promise.withResolvers<void>()
      const cancelWait = clock.after(waitMsMax, waited.resolve)
      await Promise.race([Promise.all([...providers.values()].map((provider) => provider.start())), waited.promise])
      cancelWait()
    },
    async put(access) {
      if (!providers.has(access.vendor) && providers.size >= CLOUDS_MAX) throw new TriforceError('CONFIG_INVALID', {}, { detail: `a hub has at most ${CLOUDS_MAX} vendors; remove one first` })
      const provider = create(vendorOf(access), access)
      const before = set(provider)
      tell()
      void retire(before)
      await provider.start()
    },
    remove(id) {
      const before = providers.get(id)
      if (before?.hasKey !== true) return false
      const known = vendorNamed(id)
      if (known === undefined) {
        stops.get(id)?.()
        stops.delete(id)
        providers.delete(id)
      } else {
        set(create(known, undefined))
      }
      tell()
      void retire(before)
      return true
    },
    async close() {
      stops.forEach((stop) => stop())
      await Promise.all([...providers.values(), ...retired].map((provider) => provider.close()))
    },
  }
}

function vendorOf({ vendor: id, baseUrl, family }: CloudAccess): Vendor {
  const known = vendorNamed(id)
  if (known !== undefined) return known
  if (!VENDOR_ID.test(id)) throw new TriforceError('CONFIG_INVALID', {}, { detail: `"${id.slice(0, 40)}" cannot name a vendor: take lower-case letters, digits, - and _` })
  if (baseUrl === undefined) throw new TriforceError('CONFIG_INVALID', {}, { detail: `${id} is not known by name; give its base URL too` })
  return customVendor({ id, family: family ?? 'openai', baseUrl })
}
