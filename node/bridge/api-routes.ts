/**
 * What the API's document says of each route: a sentence, and the schemas of what it takes, which are the very objects
 * that check requests. `test/tidy/openapi.test.ts` compares this list with the routes that there are.
 */
import type { z } from 'zod'
import { receiptsQuery, statementQuery } from './account.ts'
import { newKeySchema, usageQuerySchema } from './keys.ts'
import { providerBodySchema } from './admin-providers.ts'
import { accountBodySchema, grantBodySchema, keyBodySchema, keysQuerySchema, tierBodySchema } from './admin.ts'
import { auditBody, changeBody, sealBody } from './admin-ledger.ts'
import { messagesRequestSchema, promptSchema } from './anthropic/request.ts'
import { leaveQuery, registerBody, updateBody } from './contributor.ts'
import { controlsBody, orderBody, pauseBody } from './lender.ts'
import { modelsQuery } from './models.ts'
import { routeQuery } from './route.ts'
import { ollamaEmbedSchema, ollamaEmbeddingsSchema } from './ollama/embed.ts'
import { ollamaChatSchema, ollamaGenerateSchema } from './ollama/request.ts'
import { ollamaNameSchema } from './ollama/routes.ts'
import { chatRequestSchema } from './openai/chat-request.ts'
import { completionsRequestSchema } from './openai/completions-request.ts'
import { embeddingsRequestSchema } from './openai/embeddings.ts'
import { responsesRequestSchema } from './openai/responses-request.ts'
import { vendorKeyBodySchema } from './vendor-keys.ts'

export interface RouteDocs {
  readonly summary: string
  /** Absent where the route takes none. */
  readonly body?: z.ZodType
  readonly query?: z.ZodObject
  /** The answer may be a stream of events, or of lines. */
  readonly stream?: 'text/event-stream' | 'application/x-ndjson'
  /** Where it is not JSON. */
  readonly type?: string
  /** Default: `admin` below /v1/admin, else `key`. */
  readonly auth?: 'none' | 'operator'
}

const EVENTS = 'text/event-stream'
const LINES = 'application/x-ndjson'

export const routeDocs: Readonly<Record<string, RouteDocs>> = {
  'POST /v1/chat/completions': { summary: "OpenAI's chat completions", body: chatRequestSchema, stream: EVENTS },
  'POST /v1/responses': { summary: "OpenAI's responses, without a memory", body: responsesRequestSchema, stream: EVENTS },
  'POST /v1/completions': { summary: "OpenAI's old completions", body: completionsRequestSchema, stream: EVENTS },
  'POST /v1/embeddings': { summary: 'Vectors of texts', body: embeddingsRequestSchema },
  'GET /v1/models': { summary: "The models that are offered now; in Anthropic's form where anthropic-version is sent", query: modelsQuery },
  'GET /v1/models/*': { summary: 'One model' },
  'GET /v1/route': { summary: 'Where a request for a model would go now, and why elsewhere not', query: routeQuery },
  'POST /v1/messages': { summary: "Anthropic's messages", body: messagesRequestSchema, stream: EVENTS },
  'POST /v1/messages/count_tokens': { summary: "An estimate of a prompt's tokens", body: promptSchema },
  'POST /api/chat': { summary: "Ollama's chat", body: ollamaChatSchema, stream: LINES },
  'POST /api/generate': { summary: "Ollama's generate", body: ollamaGenerateSchema, stream: LINES },
  'POST /api/embed': { summary: "Ollama's embeddings", body: ollamaEmbedSchema },
  'POST /api/embeddings': { summary: 'The same for one text, in its older form', body: ollamaEmbeddingsSchema },
  'GET /api/tags': { summary: "Ollama's list of models" },
  'GET /api/ps': { summary: "Ollama's list of running models" },
  'POST /api/show': { summary: 'One model, as Ollama shows it', body: ollamaNameSchema },
  'GET /api/version': { summary: "The state of Ollama's API that is spoken here", auth: 'none' },
  'GET /api': { summary: 'Tells that Ollama is running', auth: 'none', type: 'text/plain' },
  'GET /v1/account': { summary: 'Who the key belongs to, and what it can spend' },
  'GET /v1/credits': { summary: "Where the account's credits are, and its quota of today" },
  'GET /v1/statement': { summary: 'What came in and what went out, newest first', query: statementQuery },
  'GET /v1/statement/file': { summary: 'The signed statement, byte for byte' },
  'GET /v1/receipts': { summary: 'Receipts of the account, newest first', query: receiptsQuery },
  'GET /v1/receipts/:id': { summary: 'A receipt file, byte for byte' },
  'GET /v1/generations/:id': { summary: 'What became of a request: every host that was asked, tokens, cost and receipt' },
  'GET /v1/key': { summary: 'What this key is and may do' },
  'GET /v1/keys': { summary: 'API keys of the account' },
  'POST /v1/keys': { summary: 'Makes another API key of the account, shown this once', body: newKeySchema },
  'DELETE /v1/keys/:public_key': { summary: 'Revokes an API key of the account' },
  'GET /v1/usage': { summary: 'Requests, tokens and credits by day, model and key', query: usageQuerySchema },
  'GET /v1/vendor-keys': { summary: "The account's own keys at vendors that this node keeps" },
  'POST /v1/vendor-keys': { summary: 'Gives this node a key of the account at a vendor', body: vendorKeyBodySchema },
  'DELETE /v1/vendor-keys/:vendor': { summary: 'Takes it away' },
  'GET /v1/status': { summary: 'What this node is, sees and does', auth: 'operator' },
  'POST /v1/contributor/register': { summary: 'Registers a machine that lends', body: registerBody },
  'GET /v1/contributor/registrations': { summary: 'Machines of the account' },
  'PATCH /v1/contributor/registrations/:id': { summary: 'Changes when and what a machine lends', body: updateBody },
  'DELETE /v1/contributor/registrations/:id': { summary: 'Takes a machine out', query: leaveQuery },
  'POST /v1/contributor/registrations/:id/recheck': { summary: 'Has a machine that failed its checks checked again' },
  'GET /v1/contributor/status': { summary: "This machine's lending, with reasons", auth: 'operator' },
  'GET /v1/contributor/controls': { summary: 'Whether this machine lends now and why not, and its settings', auth: 'operator' },
  'PATCH /v1/contributor/controls': { summary: 'Changes its hours, its bounds and its friends', body: controlsBody, auth: 'operator' },
  'POST /v1/contributor/pause': { summary: 'Takes nothing new until it is resumed, or for some minutes', body: pauseBody, auth: 'operator' },
  'POST /v1/contributor/resume': { summary: 'Lends again', body: orderBody, auth: 'operator' },
  'POST /v1/contributor/drain': { summary: 'Takes nothing new until the node starts again', body: orderBody, auth: 'operator' },
  'GET /v1/admin/accounts': { summary: 'All accounts' },
  'POST /v1/admin/accounts': { summary: 'Opens an account', body: accountBodySchema },
  'POST /v1/admin/accounts/:account/tier': { summary: 'Changes the tier of an account', body: tierBodySchema },
  'POST /v1/admin/keys': { summary: 'Adds an API key', body: keyBodySchema },
  'GET /v1/admin/keys': { summary: 'API keys of an account', query: keysQuerySchema },
  'DELETE /v1/admin/keys/:public_key': { summary: 'Revokes an API key' },
  'POST /v1/admin/grants': { summary: 'Gives credits', body: grantBodySchema },
  'POST /v1/admin/audit': { summary: "Folds the whole ledger anew from this hub's disk", body: auditBody },
  'POST /v1/admin/seals': { summary: 'Retires the log of a hub that is gone', body: sealBody },
  'GET /v1/admin/tables/:table': { summary: 'A table that holds' },
  'GET /v1/admin/changes': { summary: 'Changes that at least one hub has signed' },
  'POST /v1/admin/changes': { summary: 'Signs a change as the first hub', body: changeBody },
  'POST /v1/admin/changes/:id/approve': { summary: 'Signs a change as another hub' },
  'GET /v1/admin/checks': { summary: 'How each machine stands after its checks' },
  'POST /v1/admin/checks/:peer/recheck': { summary: 'Has a machine that failed checked again at once' },
  'GET /v1/admin/providers': { summary: 'The vendors that the hub has keys for' },
  'POST /v1/admin/providers': { summary: 'Gives the hub a key for a vendor', body: providerBodySchema },
  'DELETE /v1/admin/providers/:name': { summary: 'Takes a vendor and its key away' },
  'POST /v1/admin/providers/:name/test': { summary: "Asks the vendor for its models with the hub's key" },
  'GET /health': { summary: 'The process lives', auth: 'none' },
  'GET /ready': { summary: 'It can serve, or what is missing', auth: 'none' },
  'GET /metrics': { summary: 'Prometheus', auth: 'operator', type: 'text/plain' },
  'GET /': { summary: 'A few lines for people', auth: 'none', type: 'text/plain' },
  'GET /docs': { summary: 'This document as a page', auth: 'none', type: 'text/html' },
  'GET /openapi.json': { summary: 'This document', auth: 'none' },
}
