/**
 * The API as an OpenAPI 3.1 document, made from the routes that there are and the schemas that check requests, and the
 * same as a page for people that needs no script and no other server.
 */
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { routeDocs, type RouteDocs } from './api-routes.ts'

interface Route {
  readonly method: string
  readonly url: string
}

/** Must be installed before the routes are. */
export function watchApi(app: FastifyInstance): readonly Route[] {
  const routes: Route[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) if (one !== 'HEAD' && one !== 'OPTIONS') routes.push({ method: one, url })
  })
  return routes
}

export function routeApiDocs(app: FastifyInstance, { routes, version }: { readonly routes: readonly Route[]; readonly version: () => string }): void {
  let json: string | undefined
  let page: string | undefined
  app.get('/openapi.json', (_request, reply) => {
    json ??= JSON.stringify(openApiDocument(routes, version()))
    reply.header('content-type', 'application/json; charset=utf-8').send(json)
  })
  void app.register(async (pages) => {
    // Helmet's policy takes the place of the one for programs.
    pages.addHook('onRequest', (_request, reply, done) => {
      reply.removeHeader('content-security-policy')
      done()
    })
    await pages.register(helmet, {
      strictTransportSecurity: false,
      contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], styleSrc: ["'unsafe-inline'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] } },
    })
    pages.get('/docs', (_request, reply) => {
      page ??= docsPage(routes, version())
      reply.header('content-type', 'text/html; charset=utf-8').send(page)
    })
  })
}

/** Exported for tests. A route that `routeDocs` does not know has an empty summary. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const { method, url } of routes) {
    const path = pathOf(url)
    paths[path] = { ...paths[path], [method.toLowerCase()]: operationOf(method, url) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'TriForce', version, summary: 'A federation of machines as one API', description: 'docs/bridge.md says what every field does.', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key of the federation' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The same' },
        admin: { type: 'http', scheme: 'bearer', description: "The hub's admin token" },
      },
      schemas: { Error: errorSchema },
    },
  }
}

const errorSchema = {
  type: 'object',
  description: "In OpenAI's form; below /v1/messages in Anthropic's, below /api in Ollama's.",
  required: ['error'],
  properties: {
    error: {
      type: 'object', required: ['message', 'type', 'param', 'code'],
      properties: { message: { type: 'string' }, type: { type: 'string' }, param: { type: ['string', 'null'] }, code: { type: 'string' } },
    },
  },
}

function operationOf(method: string, url: string): object {
  const docs = docsOf(method, url)
  const { summary, body, query, stream, type = 'application/json' } = docs
  const parameters = [...pathParameters(url), ...(query === undefined ? [] : queryParameters(query))]
  return {
    operationId: `${method.toLowerCase()}${pathOf(url).replaceAll(/[^A-Za-z0-9]+/g, '_').replace(/_$/, '')}`,
    summary,
    tags: [tagOf(url)],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: jsonSchemaOf(body) } } } }),
    responses: {
      200: { description: 'Good', content: { [type]: {}, ...(stream === undefined ? {} : { [stream]: {} }) } },
      default: { description: 'An error', content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } },
    },
    security: securityOf(url, docs),
  }
}

function docsOf(method: string, url: string): RouteDocs {
  return routeDocs[`${method} ${url}`] ?? (url.startsWith('/api/') ? { summary: 'Not done here: models are managed on the machines that lend them' } : { summary: '' })
}

/** An empty requirement is one that may stay unmet: on loopback the operator needs no key. */
function securityOf(url: string, { auth }: RouteDocs): object[] {
  if (url.startsWith('/v1/admin/')) return [{ admin: [] }]
  if (auth === 'none') return []
  return [{ bearer: [] }, { apiKey: [] }, ...(auth === 'operator' ? [{}] : [])]
}

/** `/v1/receipts/:id` → `/v1/receipts/{id}`, and `*` → `{id}`. */
function pathOf(url: string): string {
  return url.replaceAll(/:(\w+)/g, '{$1}').replace('*', '{id}')
}

function pathParameters(url: string): object[] {
  return [...pathOf(url).matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
}

function queryParameters(query: z.ZodObject): object[] {
  const { properties = {}, required = [] } = jsonSchemaOf(query) as { properties?: Record<string, object>; required?: string[] }
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema }))
}

/** What a client may send: before defaults and conversions. */
function jsonSchemaOf(schema: z.ZodType): object {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return json
}

function tagOf(url: string): string {
  if (url.startsWith('/api')) return 'Ollama'
  if (url.startsWith('/v1/messages')) return 'Anthropic'
  if (url.startsWith('/v1/admin/')) return 'Administration'
  if (url.startsWith('/v1/contributor/')) return 'Lending'
  if (/^\/v1\/(?:chat|responses|completions|embeddings|models)/.test(url)) return 'OpenAI'
  return url.startsWith('/v1/') ? 'Account' : 'Node'
}

function docsPage(routes: readonly Route[], version: string): string {
  const byTag = Map.groupBy(routes, ({ url }) => tagOf(url))
  const sections = [...byTag].map(([tag, ones]) => `<h2>${escape(tag)}</h2>\n${ones.map(routeHtml).join('\n')}`)
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>TriForce API</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}code,pre{font:14px/1.4 ui-monospace,monospace}
pre{overflow:auto;max-height:30rem;background:#8881;padding:1rem}summary{cursor:pointer}:root{color-scheme:light dark}</style>
<h1>TriForce ${escape(version)}</h1>
<p>The same for programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1). An API key goes into <code>Authorization: Bearer</code> or <code>x-api-key</code>.</p>
${sections.join('\n')}
</html>
`
}

function routeHtml({ method, url }: Route): string {
  const { summary, body, query } = docsOf(method, url)
  const head = `<code>${method} ${escape(pathOf(url))}</code> ${escape(summary)}`
  const taken = body ?? query
  if (taken === undefined) return `<p>${head}</p>`
  return `<details><summary>${head}</summary><pre>${escape(JSON.stringify(jsonSchemaOf(taken), null, 2))}</pre></details>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
