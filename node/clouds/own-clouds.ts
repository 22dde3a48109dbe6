/**
 * The vendors that this hub reaches with keys of its own, as capacity: what is announced of them, the pages of their
 * catalogues, and one source of answers for the executor. Catalogues are read anew when a vendor says that they changed.
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { CATALOGUE_MODELS_MAX, CATALOGUE_PAGE_MAX, CLOUDS_MAX, COMPLETION_TOKENS_MAX } from '../../protocol/limits.ts'
import type { CloudOffer, OfferedModel } from '../../protocol/messages/capacity.ts'
import { catalogueModelSchema, catalogueRevision, type CatalogueAsk, type CatalogueModel, type CataloguePage } from '../../protocol/messages/catalogue.ts'
import type { CloudProvider, Provider } from '../../providers/interface.ts'

export interface OwnClouds {
  /** For the capacity announcement. */
  offers(): readonly CloudOffer[]
  /** Undefined where this hub has no key for the vendor. */
  catalogue(vendor: string): readonly CatalogueModel[] | undefined
  /** One page; throws NOT_FOUND where the vendor or the revision is not what this hub has now. */
  page(ask: CatalogueAsk): CataloguePage
  /** All models as an engine's, for the executor: `digest` names the model, for nobody sees its weights. */
  readonly source: Pick<Provider, 'models' | 'run' | 'embed'>
  onChange(listener: () => void): () => void
}

/** Vendors that come and go: an admin adds a key, or takes one away. */
export interface CloudSource {
  /** Those that this node has a key for. */
  keyed(): readonly CloudProvider[]
  /** When one of them, or what it has, has changed. */
  onChange(listener: () => void): () => void
}

interface Vendor {
  readonly provider: CloudProvider
  readonly models: readonly CatalogueModel[]
  readonly revision: Uint8Array
}

export function createOwnClouds(clouds: CloudSource): OwnClouds {
  const listeners = new Set<() => void>()
  let vendors = new Map<string, Vendor>()
  let offered: OfferedModel[] = []

  function read(): void {
    vendors = new Map(clouds.keyed().slice(0, CLOUDS_MAX).map((provider) => {
      const models = catalogueOf(provider)
      return [provider.vendor, { provider, models, revision: catalogueRevision(models) }]
    }))
    offered = [...vendors.values()].flatMap((vendor) => vendor.models.map(asOffered))
  }

  read()
  clouds.onChange(() => {
    read()
    for (const listener of listeners) listener()
  })

  function vendorOf(name: string): Vendor | undefined {
    return vendors.get(name)
  }

  return {
    offers: () => [...vendors.values()].filter(({ models }) => models.length > 0).map(({ provider, models, revision }) => ({
      vendor: provider.vendor, models: models.length, revision, keepsPrompts: provider.keepsPrompts,
    })),
    catalogue: (vendor) => vendorOf(vendor)?.models,
    page({ vendor, revision, from }) {
      const known = vendorOf(vendor)
      if (known === undefined || !bytesEqual(known.revision, revision)) {
        throw new TriforceError('NOT_FOUND', { vendor }, { detail: 'this hub has another catalogue of that vendor now; its next announcement names it' })
      }
      return { total: known.models.length, models: known.models.slice(from, from + CATALOGUE_PAGE_MAX) }
    },
    source: {
      models: () => offered,
      run(request: CompletionRequest, options) {
        const vendor = vendorOf(vendorOfModel(request.model))
        if (vendor === undefined) throw new TriforceError('MODEL_NOT_FOUND', { model: request.model })
        return vendor.provider.run(withinLimits(request, vendor.models), options)
      },
      async embed(request, options) {
        const embed = vendorOf(vendorOfModel(request.model))?.provider.embed
        if (embed === undefined) throw new TriforceError('CAPABILITY_MISSING', { model: request.model }, { detail: `"${request.model}" makes no embeddings` })
        return await embed(request, options)
      },
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/**
 * The job protocol always names a limit; the largest means "as many as the model gives". A vendor refuses a request for
 * more than its model can write, so the limit is never above that.
 */
function withinLimits(request: CompletionRequest, models: readonly CatalogueModel[]): CompletionRequest {
  const { maxTokens, ...rest } = request
  if (maxTokens === undefined || maxTokens >= COMPLETION_TOKENS_MAX) return rest
  const { outputTokensMax = 0 } = models.find(({ id }) => id === request.model) ?? {}
  return { ...rest, maxTokens: outputTokensMax > 0 ? Math.min(maxTokens, outputTokensMax) : maxTokens }
}

/** `openai/gpt-4o` → `openai`. */
export function vendorOfModel(id: string): string {
  return id.slice(0, Math.max(id.indexOf('/'), 0))
}

/** `openrouter/meta/llama` → `meta/llama`: the vendor's own id, by which the price table knows it. */
export function ownIdOf(id: string): string {
  return id.slice(id.indexOf('/') + 1)
}

/** Sorted, each once, and only what another hub would take: an odd name must not cost a vendor all its models. */
function catalogueOf(provider: CloudProvider): readonly CatalogueModel[] {
  const byId = new Map<string, CatalogueModel>()
  for (const { id, name, contextTokens, outputTokensMax, capabilities } of provider.models()) {
    const read = catalogueModelSchema.safeParse({ id, name: name.slice(0, 256), contextTokens, outputTokensMax, capabilities: [...capabilities] })
    if (read.success && vendorOfModel(id) === provider.vendor) byId.set(id, read.data)
  }
  return [...byId.values()].sort((a, b) => a.id < b.id ? -1 : 1).slice(0, CATALOGUE_MODELS_MAX)
}

function asOffered({ id, contextTokens, capabilities }: CatalogueModel): OfferedModel {
  return {
    id, digest: cloudDigest(id), quantization: '', contextTokens, parameters: 0, capabilities: [...capabilities], tokensPerSecond: 0, loaded: true, demo: false,
  }
}

/** What a receipt half names in place of weights. */
function cloudDigest(id: string): string {
  return Buffer.from(sha256(Buffer.from(`triforce/cloud-model/1\0${id}`, 'utf8'))).toString('hex')
}
