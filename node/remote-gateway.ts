/** The gateway of a node that is no hub: it asks a hub for everything, in the name of the key that asks it. */
import { apiKeySigner } from '../protocol/api-key.ts'
import { TriforceError } from '../protocol/errors.ts'
import { modelFromWire } from './capacity/model-list.ts'
import type { CompleteOptions, Gateway, NodeStatus, Principal } from './gateway.ts'
import { narrower } from './jobs/router.ts'
import type { RemoteJobs } from './jobs/remote-job.ts'
import { collectEmbeddings } from './jobs/vectors.ts'
import type { AccountClient } from './settlement/account-client.ts'
import { creditsFromWire, lineFromWire } from './settlement/credits.ts'
import { keyFromWire, usageFromWire } from './settlement/key-wire.ts'

export interface RemoteGatewayComponents {
  readonly client: AccountClient
  readonly jobs: RemoteJobs
  readonly status: () => NodeStatus
}

export function createRemoteGateway({ client, jobs, status }: RemoteGatewayComponents): Gateway {
  return {
    async authenticate(apiKey) {
      const signer = apiKeySigner(apiKey)
      if (signer === undefined) throw new TriforceError('INVALID_API_KEY')
      const { answer } = await client.ask(signer, 'account', {})
      const { terms } = answer
      return { account: answer.account, accountName: answer.name, tier: answer.tier, signer, ...(terms === undefined ? {} : { terms }) }
    },
    async models(principal, { resting = false } = {}) {
      return (await client.ask(principal.signer, 'models', resting ? { resting } : {})).answer.models.map(modelFromWire)
    },
    async route(principal, { model, needs, routing }) {
      return (await client.ask(principal.signer, 'route', { model, needs: [...needs], ...(routing === undefined ? {} : { routing }) })).answer
    },
    complete: (principal, request, options) => jobs.run(principal.signer, request, keptWithin(principal, options)),
    embed: (principal, request, options) => collectEmbeddings(jobs.run(principal.signer, request, keptWithin(principal, options)), request.inputs.length, options),
    async account(principal) {
      const { answer } = await client.ask(principal.signer, 'account', {})
      return { account: answer.account, name: answer.name, tier: answer.tier, balanceMicroCredits: BigInt(answer.balance) }
    },
    async receipts(principal, options) {
      return (await client.ask(principal.signer, 'receipts', options)).answer.receipts
    },
    async receiptFile(principal, id) {
      return (await client.ask(principal.signer, 'receipt', { id })).answer.file
    },
    async credits(principal) {
      return creditsFromWire((await client.ask(principal.signer, 'credits', {})).answer)
    },
    async statement(principal, query) {
      return (await client.ask(principal.signer, 'statement', query)).answer.lines.map(lineFromWire)
    },
    async statementFile(principal) {
      return (await client.ask(principal.signer, 'statementFile', {})).answer.file
    },
    async keys(principal) {
      return (await client.ask(principal.signer, 'keys', {})).answer.keys.map((key) => keyFromWire(principal.account, key))
    },
    async addKey(principal, key) {
      await client.ask(principal.signer, 'addKey', key)
    },
    async revokeKey(principal, publicKey) {
      await client.ask(principal.signer, 'revokeKey', { publicKey })
    },
    async usage(principal, time) {
      return usageFromWire((await client.ask(principal.signer, 'usage', time)).answer)
    },
    status,
  }
}

/** A hub would refuse what the key's privacy class forbids, but only when it has the prompt: so it is a wish from here on. */
function keptWithin({ terms }: Principal, options: CompleteOptions): CompleteOptions {
  if (terms?.privacy === undefined) return options
  return { ...options, routing: { ...options.routing, privacy: narrower(terms.privacy, options.routing?.privacy ?? 'cloud') } }
}
