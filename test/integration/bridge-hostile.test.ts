/** Requests that nobody honest sends: always refused in OpenAI's form, never with a word from inside. */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { TEST_KEY } from '../support/bridge-gateway.ts'
import {
  authorized, chatBody, chatRequestText, postJson, rawConnection, startTestBridge, type TestBridge,
} from '../support/bridge-server.ts'
import { SEED } from '../support/seed.ts'

describe('bridge: hostile requests', () => {
  let test: TestBridge

  before(async () => {
    test = await startTestBridge({ headersMsMax: 300, requestMsMax: 600, arrivalCheckMs: 50, connectionsMax: 64 })
    test.gateway.script = (run) => run.answer('ok')
  })
  after(() => test.stop())

  function post(body: string | Uint8Array<ArrayBuffer>, headers = { 'content-type': 'application/json' }): Promise<Response> {
    return fetch(`${test.url}/v1/chat/completions`, authorized({ method: 'POST', headers, body }))
  }

  it('answers some hundreds of spoiled bodies with a 4xx in shape', async function () {
    this.timeout(20_000)
    const seed = SEED
    console.log(`      seed ${seed}`)
    const good = JSON.stringify({ ...chatBody, stream: false, stop: ['x'], max_tokens: 5 })
    const cut = fc.nat(good.length - 1).map((length) => good.slice(0, length))
    const field = fc.constantFrom('model', 'messages', 'stream', 'max_tokens', 'temperature', 'stop', 'response_format', 'tools', 'n',
      'seed', '__proto__')
    const swapped = fc.tuple(field, fc.jsonValue())
      .map(([name, value]) => `${good.slice(0, -1)},${JSON.stringify(name)}:${JSON.stringify(value)}}`)
    const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => new Uint8Array(array))
    const body = fc.oneof(cut, swapped, bytes, fc.json(), fc.string())
    const seen = new Map<number, number>()
    await fc.assert(fc.asyncProperty(body, async (sent) => {
      const response = await post(sent)
      seen.set(response.status, (seen.get(response.status) ?? 0) + 1)
      const text = await response.text()
      if (response.status === 200) return
      expectShape(response, text)
      expect(response.status).to.be.within(400, 499)
    }), { seed, numRuns: 400 })
    console.log(`      statuses ${JSON.stringify(Object.fromEntries(seen))}`)
    expect(seen.get(400)).to.be.greaterThan(100)
    expect(test.logLines.filter((line) => line.level === 'error')).to.deep.equal([])
  })

  it('refuses a body of 5 MB, announced or not', async () => {
    const big = JSON.stringify({ ...chatBody, messages: [{ role: 'user', content: 'x'.repeat(5_000_000) }] })
    const announced = await post(big)
    expect(announced.status).to.equal(413)
    expectShape(announced, await announced.text())
    const connection = rawConnection(test.port)
    connection.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TEST_KEY}\r\n`
      + `content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${big.length.toString(16)}\r\n${big}\r\n0\r\n\r\n`)
    await connection.until('"code":"body_too_large"')
    expect(connection.received).to.match(/^HTTP\/1\.1 413 /)
    connection.socket.destroy()
  })

  it('refuses 100,000 levels of nesting and 10,000 messages', async () => {
    const deep = await post('['.repeat(100_000) + ']'.repeat(100_000))
    expect(deep.status).to.equal(400)
    const nested = await post(JSON.stringify(chatBody).replace('}]', `,"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}]`))
    expect(nested.status).to.equal(400)
    expectShape(nested, await nested.text())
    const many = await post(JSON.stringify({ model: 'demo', messages: Array.from({ length: 10_000 }, () => chatBody.messages[0]) }))
    expect(many.status).to.equal(400)
    expect(await many.json()).to.have.nested.property('error.param', 'messages')
  })

  it('takes JSON only, and only as it is', async () => {
    const good = JSON.stringify(chatBody)
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'multipart/form-data; boundary=x',
      'application/jsonx', ';;;']) {
      const response = await post(good, { 'content-type': type })
      expect(response.status, type).to.equal(415)
      expectShape(response, await response.text())
    }
    const packed = await fetch(`${test.url}/v1/chat/completions`, authorized({
      method: 'POST', headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' }, body: good,
    }))
    expect(packed.status).to.equal(415)
    expect((await post(good, { 'content-type': 'application/json; charset=utf-8' })).status).to.equal(200)
    const empty = await fetch(`${test.url}/v1/chat/completions`, authorized({ method: 'POST' }))
    expect(empty.status).to.equal(400)
    expectShape(empty, await empty.text())
  })

  it('refuses before it reads a body when there is no good key', async () => {
    const connection = rawConnection(test.port)
    connection.send('POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer tf-wrong\r\n'
      + 'content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{')
    await connection.until('invalid_api_key')
    expect(connection.received).to.match(/^HTTP\/1\.1 401 /)
    connection.socket.destroy()
  })

  it('refuses a Host that is not its own', async () => {
    for (const [host, status] of [
      ['evil.example', 403], ['evil.example:80', 403], ['localhost.evil.example', 403], ['127.0.0.1.nip.io', 403], ['[::2]', 403],
      ['', 403],
      ['localhost', 200], ['LOCALHOST:1', 200], ['127.0.0.1:99', 200], ['[::1]:99', 200],
    ] as const) {
      const connection = rawConnection(test.port)
      connection.send(`GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
      const response = await connection.closed
      expect(response, host).to.match(new RegExp(`^HTTP/1\\.1 ${status} `))
      if (status === 403) expect(response, host).to.include('"code":"forbidden"')
    }
  })

  it('refuses a flood of headers and an endless address', async () => {
    const flood = rawConnection(test.port)
    const headers = Array.from({ length: 2_000 }, (_, index) => `x-${index}: ${'y'.repeat(20)}\r\n`)
    flood.send(`GET /health HTTP/1.1\r\nhost: localhost\r\n${headers.join('')}\r\n`)
    const refused = await flood.closed
    expect(refused).to.match(/^HTTP\/1\.1 431 /)
    expectRawShape(refused)
    const long = await fetch(`${test.url}/v1/models/${'a'.repeat(3_000)}`, authorized())
    expect(long.status).to.equal(400)
    expectShape(long, await long.text())
  })

  it('answers what is no HTTP, and closes', async () => {
    for (const text of ['\u0000\u0001\u0002\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n',
      'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n',
      'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n']) {
      const connection = rawConnection(test.port)
      connection.send(text)
      const response = await connection.closed
      expect(response, JSON.stringify(text)).to.match(/^HTTP\/1\.1 4\d\d /)
      expectRawShape(response)
    }
  })

  it('closes on a client that drips its headers, its body, or says nothing', async () => {
    const drips = [
      ['GET /health HTTP/1.1\r\nhost: loc', 'al'],
      [chatRequestText(chatBody).slice(0, -5), ''],
      ['', ''],
    ] as const
    await Promise.all(drips.map(async ([start, drip]) => {
      const connection = rawConnection(test.port)
      connection.send(start)
      const dripping = setInterval(() => connection.send(drip), 50)
      const response = await connection.closed
      clearInterval(dripping)
      expect(response, start).to.match(/^HTTP\/1\.1 408 /)
      expectRawShape(response)
    }))
  })

  it('keeps only as many connections as it may', async () => {
    const connections = Array.from({ length: 80 }, () => rawConnection(test.port))
    // Those that are kept are dropped for saying nothing; the others at once and without a word.
    const answers = await Promise.all(connections.map((connection) => connection.closed))
    expect(answers.filter((answer) => answer !== '').length).to.be.within(1, 64)
    expect(answers.filter((answer) => answer === '').length).to.be.at.least(16)
    expect((await fetch(`${test.url}/health`)).status).to.equal(200)
  })

  it('says 404 and 405 in shape, names every answer, and lets no page of another origin read', async () => {
    for (const [method, path, status] of [
      ['GET', '/nothing', 404], ['POST', '/v1/audio/speech', 404], ['GET', '/v1/chat/completions', 405], ['DELETE', '/v1/models', 405],
      ['POST', '/v1/receipts/rcpt_x', 405], ['GET', '/v1/models/%E0%A4%A', 400], ['GET', '/v1/admin/accounts', 404],
      ['OPTIONS', '/v1/models', 405], ['GET', '/..%2f..%2fetc', 404],
    ] as const) {
      const response = await fetch(test.url + path, authorized({ method, headers: { origin: 'https://evil.example' } }))
      expect(response.status, path).to.equal(status)
      expectShape(response, await response.text())
      expect(response.headers.get('access-control-allow-origin')).to.equal(null)
    }
  })

  it('tells nothing of what went wrong inside, and logs where, without the message', async () => {
    const models = test.gateway.models.bind(test.gateway)
    test.gateway.models = () => Promise.reject(new TypeError('secret prompt text'))
    const response = await fetch(`${test.url}/v1/models`, authorized())
    test.gateway.models = models
    const text = await response.text()
    expect(response.status).to.equal(500)
    expectShape(response, text)
    expect(text).to.not.include('secret')
    const line = test.logLines.findLast((candidate) => candidate.level === 'error')
    expect(line?.context?.['at']).to.match(/^TypeError at /)
    expect(JSON.stringify(test.logLines)).to.not.include('secret').and.to.not.include(TEST_KEY)
  })

  it('still works after all of this', async () => {
    const response = await fetch(`${test.url}/v1/chat/completions`, postJson(chatBody))
    expect(response.status).to.equal(200)
  })
})

function expectShape(response: Response, text: string): void {
  expect(response.headers.get('x-request-id'), text).to.match(/^req_[0-9a-f]{24}$/)
  expect(response.headers.get('content-type')).to.equal('application/json; charset=utf-8')
  expectErrorBody(text)
}

function expectRawShape(response: string): void {
  expect(response).to.match(/x-request-id: req_[0-9a-f]{24}\r\n/)
  expectErrorBody(response.slice(response.indexOf('\r\n\r\n') + 4))
}

function expectErrorBody(text: string): void {
  const body = JSON.parse(text) as { error: Record<string, unknown> }
  expect(Object.keys(body)).to.deep.equal(['error'])
  expect(Object.keys(body.error)).to.deep.equal(['message', 'type', 'param', 'code'])
  expect(body.error['message']).to.be.a('string').and.not.equal('')
  // Neither a stack nor a path.
  expect(text).to.not.match(/\bat .+:\d+:\d+|node_modules|\.ts\b/)
}
