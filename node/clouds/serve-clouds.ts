/** A hub's serving side of vendors: pages of catalogues for other hubs, and which executor a ticket is for. */
import { decodeUnchecked, encode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { Federation } from '../../protocol/federation.ts'
import type { CatalogueAsk } from '../../protocol/messages/catalogue.ts'
import type { OpenAsk } from '../jobs/frames.ts'
import type { ServeJob } from '../jobs/job-server.ts'
import type { OwnClouds } from './own-clouds.ts'

/** Throws NOT_A_HUB, and NOT_FOUND where this hub has another catalogue now. */
export async function catalogueAnswer(own: Pick<OwnClouds, 'page'>, federation: Federation, peer: string, ask: CatalogueAsk): Promise<Uint8Array> {
  if (!federation.hubs.some((hub) => hub.peerId === peer)) throw new TriforceError('NOT_A_HUB')
  return encode(own.page(ask))
}

type ServeOpen = ServeJob<OpenAsk>

/** The ticket is only looked into here; the executor that gets it checks it. */
export function serveEither(cloud: ServeOpen, engine: ServeOpen): ServeOpen {
  return (channel, ask, options) => isCloud(ask) ? cloud(channel, ask, options) : engine(channel, ask, options)
}

function isCloud({ opened, ticket }: OpenAsk): boolean {
  if (opened !== undefined) return opened.ticket.cloud === true
  try {
    const body = decodeUnchecked(ticket.body)
    return typeof body === 'object' && body !== null && 'cloud' in body && body.cloud === true
  } catch {
    // The engine's executor answers it with the reason.
    return false
  }
}
