/** Vectors of entries: bytes, fields, what the id is derived from, and the documents inside. */
import { decode } from '@ipld/dag-cbor'
import { toHex } from '../../protocol/bytes.ts'
import { leafHash } from '../../protocol/merkle.ts'
import { domainText, entrySamples } from './entry-samples.ts'
import { toJson, type Json } from './format.ts'

export function entryVectors(): { readonly [key: string]: Json } {
  return {
    entries: entrySamples.map(({ name, encoded: { entry, bytes }, naturalKey, documents }) => ({
      name, kind: entry.k, eid: toHex(entry.eid), naturalKey: toHex(naturalKey), bytes: toHex(bytes), leafHash: toHex(leafHash(bytes)), fields: toJson(decode(bytes)),
      documents: documents.map(({ at, domain, document }) => ({ at, domain: domainText(domain), fields: toJson(decode(document.body)) })),
    })),
  }
}
