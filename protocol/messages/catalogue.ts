/**
 * The catalogue of a vendor at a hub that has a key for it: asked for page by page, between hubs. A revision names its
 * content, so whoever has all pages checks them against it and keeps them for as long as a hub announces that revision.
 */
import { z } from 'zod'
import { encode } from '../codec.ts'
import { sha256 } from '../crypto.ts'
import { countField, idField, modelIdField } from '../fields.ts'
import { CATALOGUE_MODELS_MAX, CATALOGUE_PAGE_MAX } from '../limits.ts'
import { modelCapabilitySchema, vendorField } from './capacity.ts'

export const catalogueModelSchema = z.object({
  /** `<vendor>/<the vendor's own id>`. */
  id: modelIdField,
  name: z.string().max(256),
  contextTokens: countField,
  /** 0 where the vendor does not tell. */
  outputTokensMax: countField,
  capabilities: z.array(modelCapabilitySchema).max(16),
})
export type CatalogueModel = z.output<typeof catalogueModelSchema>

export const catalogueAskSchema = z.object({
  t: z.literal('catalogue'), vendor: vendorField, revision: idField,
  /** Place of the first model wanted, from 0. */
  from: countField.max(CATALOGUE_MODELS_MAX),
})
export type CatalogueAsk = z.output<typeof catalogueAskSchema>

/** Body of the answer: models in ascending order of their ids; `total` of all pages. */
export const cataloguePageSchema = z.object({
  total: countField.max(CATALOGUE_MODELS_MAX), models: z.array(catalogueModelSchema).max(CATALOGUE_PAGE_MAX),
})
export type CataloguePage = z.output<typeof cataloguePageSchema>

/** 16 bytes: SHA-256 of the models as DAG-CBOR, cut. The order of the models counts. */
export function catalogueRevision(models: readonly CatalogueModel[]): Uint8Array {
  return sha256(Buffer.from('triforce/catalogue/1\0', 'utf8'), encode(models)).slice(0, 16)
}
