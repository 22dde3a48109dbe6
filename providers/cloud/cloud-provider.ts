/** One vendor as a CloudProvider: its key, its catalogue, and answers over its wire family. */
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import { estimatePromptTokens } from '../../protocol/token-estimate.ts'
import type { CloudProvider, CloudRunOptions } from '../interface.ts'
import { runAnswer } from './answer-run.ts'
import { createCatalogue, type CatalogueOptions } from './catalogue.ts'
import { createAnthropicWire } from './anthropic-wire.ts'
import { createOpenAiWire } from './openai-wire.ts'
import { checkSettings } from './refusals.ts'
import { createTransport, type TransportComponents, type TransportOptions } from './transport.ts'
import { keepsPrompts, type Vendor } from './vendor.ts'
import { vendorError } from './vendor-errors.ts'

export interface CloudProviderComponents {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface CloudProviderOptions {
  readonly vendor: Vendor
  /** The hub's; without one only accounts with keys of their own are served. */
  readonly key?: string | undefined
  /** Default: the vendor's. */
  readonly baseUrl?: string | undefined
  readonly catalogue?: Omit<CatalogueOptions, 'vendor'>
  readonly transport?: TransportOptions
  readonly connect?: TransportComponents['connect']
  /** How long an answer that was left is still read at a vendor that bills it to its end. Default 60,000 ms. */
  readonly drainMsMax?: number
}

export const cloudProviderDefaults = Object.freeze({ drainMsMax: 60_000 })

export interface StartedCloudProvider extends CloudProvider {
  readonly hasKey: boolean
  readonly baseUrl: string
  /** Reads the catalogue and goes on reading it; resolves after the first look, however it ended. Call it once. */
  start(): Promise<void>
  refresh(): Promise<void>
  /** Ends when the answers that run now have ended; nothing new is asked. */
  retire(): Promise<void>
}

export function createCloudProvider({ clock, random, log }: CloudProviderComponents, options: CloudProviderOptions): StartedCloudProvider {
  const { vendor, key } = options
  const drainMsMax = options.drainMsMax ?? cloudProviderDefaults.drainMsMax
  const transport = createTransport({ clock, connect: options.connect }, { ...options.transport, headers: vendor.headers })
  const baseUrl = (options.baseUrl ?? vendor.baseUrl).replace(/\/+$/, '')
  const wire = (vendor.family === 'openai' ? createOpenAiWire : createAnthropicWire)({ vendor, baseUrl, transport, random })
  const closing = new AbortController()
  const catalogue = createCatalogue({
    clock, random, log,
    list: async (signal) => told('', key, async (own) => wire.models({ signal, key: own })),
  }, { ...options.catalogue, vendor })

  /** Runs with the key; whatever goes wrong comes out as one of our codes. */
  async function told<T>(model: string, own: string | undefined, work: (key: string) => Promise<T>): Promise<T> {
    try {
      return await work(own ?? refuseKeyless())
    } catch (error) {
      throw vendorError(error, placeOf(model, own))
    }
  }

  function refuseKeyless(): never {
    throw new TriforceError('VENDOR_REFUSED', { vendor: vendor.id }, { detail: `this hub has no key for ${vendor.name}` })
  }

  function placeOf(model: string, own: string | undefined) {
    return { vendor, model, secrets: [own, key].flatMap((secret) => secret ?? []), now: () => clock.now() }
  }

  function callOf(model: string) {
    if (!model.startsWith(`${vendor.id}/`)) throw new TriforceError('MODEL_NOT_FOUND', { model })
    return { model: model.slice(vendor.id.length + 1), outputTokensMax: catalogue.models().find(({ id }) => id === model)?.outputTokensMax ?? 0 }
  }

  return {
    vendor: vendor.id,
    hasKey: key !== undefined,
    baseUrl,
    billsAborted: vendor.billsAborted,
    keepsPrompts: keepsPrompts(vendor),
    models: () => key === undefined ? [] : catalogue.models(),
    onChange: catalogue.onChange,
    health: () => key === undefined ? { ok: false, text: `there is no key for ${vendor.name}; set ${vendor.keyEnv[0]} or use "triforce admin provider add ${vendor.id}"` } : catalogue.health(),
    run: (request, { signal, ownKey }) => runAnswer({
      clock, signals: [signal, closing.signal],
      begin(leaving) {
        const call = callOf(request.model)
        const own = ownKey ?? key ?? refuseKeyless()
        checkSettings(request, vendor, call.model)
        return wire.complete(request, { ...call, signal: leaving, key: own })
      },
      promptTokens: () => estimatePromptTokens(request),
      usageOptional: vendor.openai.usage === 'maybe',
      // An account pays its own key's bill itself.
      drainMsMax: vendor.billsAborted && ownKey === undefined ? drainMsMax : 0,
      errorOf: (error) => vendorError(error, placeOf(request.model, ownKey)),
    }),
    ...(wire.embed === undefined ? {} : {
      embed: async (request, { signal, ownKey }: CloudRunOptions) => {
        const call = callOf(request.model)
        return told(request.model, ownKey ?? key, async (own) => wire.embed!(request, { ...call, signal: AbortSignal.any([signal, closing.signal]), key: own }))
      },
    } satisfies Pick<CloudProvider, 'embed'>),
    start: async () => key === undefined ? undefined : catalogue.start(),
    refresh: async () => key === undefined ? undefined : catalogue.refresh(),
    async retire() {
      await catalogue.close()
      await transport.end()
    },
    async close() {
      closing.abort()
      await catalogue.close()
      await transport.close()
    },
  }
}
