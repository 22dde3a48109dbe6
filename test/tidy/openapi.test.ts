import { expect } from 'chai'
import { routeDocs } from '../../node/bridge/api-routes.ts'
import type { OwnKeys } from '../../node/clouds/own-keys.ts'
import type { ContributorGateway } from '../../node/contributor/contributor-gateway.ts'
import type { ChecksAdmin } from '../../node/honesty/honesty.ts'
import type { AdminGateway, VendorAdmin } from '../../node/gateway.ts'
import type { Lender } from '../../node/lending/lender.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean; readonly schema: object }[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Readonly<Record<string, unknown>> } } }
  readonly responses: Readonly<Record<string, { readonly description: string }>>
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
}
interface Document {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly securitySchemes: object; readonly schemas: object }
}

/** These take no body though they are POSTs. */
const WITHOUT_BODY = ['POST /v1/admin/changes/:id/approve', 'POST /v1/admin/providers/:name/test', 'POST /v1/admin/checks/:peer/recheck', 'POST /v1/contributor/registrations/:id/recheck']

describe('the OpenAPI document', () => {
  let test: TestBridge
  let document: Document

  before(async () => {
    test = await startTestBridge({}, {
      admin: { gateway: {} as AdminGateway, token: 'tfa', vendors: {} as VendorAdmin, checks: {} as ChecksAdmin }, contributor: {} as ContributorGateway,
      vendorKeys: { ownKeys: {} as OwnKeys, isVendor: () => false }, lender: { lender: {} as Lender, adminToken: 'tfa' },
    })
    document = await (await fetch(`${test.url}/openapi.json`)).json() as Document
  })
  after(() => test.stop())

  const operations = () => Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, name: `${method.toUpperCase()} ${path}`, operation })))

  it('says something of every route that there is, and of no other', () => {
    expect(operations().filter(({ operation }) => operation.summary === '').map(({ name }) => name), 'missing in node/bridge/api-routes.ts').to.deep.equal([])
    const there = new Set(operations().map(({ name }) => name))
    const named = Object.keys(routeDocs).map((name) => name.replaceAll(/:(\w+)/g, '{$1}').replace('*', '{id}'))
    expect(named.filter((name) => !there.has(name))).to.deep.equal([])
  })

  it('has for each body the fields that are checked', () => {
    const bodies = Object.entries(routeDocs).filter(([name]) => /^(?:POST|PUT|PATCH) /.test(name) && !WITHOUT_BODY.includes(name))
    expect(bodies.filter(([, { body }]) => body === undefined).map(([name]) => name)).to.deep.equal([])
    for (const { name, operation } of operations()) {
      if (operation.requestBody === undefined) continue
      const schema = operation.requestBody.content['application/json'].schema
      expect('properties' in schema || 'anyOf' in schema || 'oneOf' in schema, name).to.equal(true)
    }
    const chat = document.paths['/v1/chat/completions']!['post']!.requestBody!.content['application/json'].schema as { properties: Record<string, { maximum?: number; description?: string }>; required: string[] }
    expect(chat.required).to.deep.equal(['model', 'messages'])
    expect(chat.properties).to.include.all.keys('tools', 'tool_choice', 'response_format', 'logprobs', 'models', 'provider', 'triforce')
    expect(JSON.stringify(chat.properties['temperature'])).to.include('"maximum":2')
  })

  it('is well formed: names, places, references and keys agree', () => {
    expect(document.openapi).to.equal('3.1.0')
    expect(document.info).to.include({ title: 'TriForce', version: '0.1.0' })
    const ids = operations().map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).to.equal(ids.length)
    for (const { path, name, operation } of operations()) {
      expect(path, name).to.match(/^\/[^:*]*$/)
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name)
      expect(inPath, name).to.deep.equal([...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter))
      expect(Object.keys(operation.responses), name).to.include.members(['200', 'default'])
      for (const scheme of operation.security.flatMap(Object.keys)) expect(document.components.securitySchemes).to.have.property(scheme)
    }
    // A schema with definitions of its own would refer to the root of the document.
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!)
    expect(references.filter((reference) => reference !== '#/components/schemas/Error')).to.deep.equal([])
  })

  it('is a page for people too, which runs nothing and asks nobody', async () => {
    const response = await fetch(`${test.url}/docs`)
    expect(response.headers.get('content-type')).to.equal('text/html; charset=utf-8')
    expect(response.headers.get('content-security-policy')).to.include("default-src 'none'").and.to.include("frame-ancestors 'none'")
    const page = await response.text()
    for (const { path } of operations()) expect(page).to.include(path)
    expect(page).to.not.match(/<script|\son\w+=|src=|https?:\/\//)
  })
})
