import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { createClock } from '../../bootstrap/system.ts'
import { createTransport, type Transport } from '../../providers/cloud/transport.ts'
import { VendorStatusError, type VendorStream } from '../../providers/cloud/vendor-stream.ts'
import { until } from '../support/until.ts'

const PIECE = Buffer.from(`data: ${'x'.repeat(16_000)}\n\n`)

describe('providers/cloud/vendor-stream', () => {
  let server: Server
  let transport: Transport
  let answer: (response: ServerResponse) => void
  let connections = 0

  before((done) => {
    server = createServer((request, response) => {
      request.resume().on('end', () => { answer(response) })
    })
    server.on('connection', () => { connections += 1 })
    server.listen(0, '127.0.0.1', done)
  })
  beforeEach(() => { transport = createTransport({ clock: createClock() }) })
  afterEach(() => transport.close())
  after((done) => {
    server.closeAllConnections()
    server.close(done)
  })

  function open(signal = new AbortController().signal): Promise<VendorStream> {
    return transport.stream({ origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, path: '/', headers: {}, body: '{}', signal })
  }

  it('makes the vendor wait while nobody reads, and then gives every byte', async () => {
    const pieces = 2_000
    let written = 0
    answer = (response) => {
      const write = () => {
        while (written < pieces) {
          written += 1
          if (response.write(PIECE)) continue
          response.once('drain', write)
          return
        }
        response.end()
      }
      write()
    }
    const stream = (await open())[Symbol.asyncIterator]()
    let bytes = (await stream.next()).value!.byteLength
    // What fits the sockets' buffers is on its way; then the server comes to a stand.
    let before = -1
    let looks = 0
    await until('the vendor waits', () => {
      looks = written === before ? looks + 1 : 0
      before = written
      return looks > 40
    })
    expect(written).to.be.below(pieces)
    for (let result = await stream.next(); result.done !== true; result = await stream.next()) bytes += result.value.byteLength
    expect(bytes).to.equal(pieces * PIECE.byteLength)
  })

  it('uses the connection again where the reader stops before the last bytes', async () => {
    answer = (response) => {
      response.write(PIECE)
      setImmediate(() => response.end(PIECE))
    }
    const first = connections
    for (let round = 0; round < 5; round += 1) {
      for await (const bytes of await open()) if (bytes.byteLength > 0) break
      await new Promise((resolve) => { setTimeout(resolve, 20) })
    }
    expect(connections - first).to.be.below(5)
  })

  it('gives status, words and time to wait of a refusal', async () => {
    answer = (response) => {
      response.writeHead(429, { 'retry-after': '7' })
      response.end('{"error":{"message":"slow down"}}')
    }
    const error = await open().then(() => undefined, (reason: unknown) => reason)
    expect(error).to.be.instanceOf(VendorStatusError)
    expect([(error as VendorStatusError).status, (error as VendorStatusError).retryAfter, (error as VendorStatusError).body]).to.deep.equal([429, '7', '{"error":{"message":"slow down"}}'])
  })

  it('throws the reason of an abort where it is noticed', async () => {
    answer = (response) => { response.write(PIECE) }
    const leaving = new AbortController()
    const stream = (await open(leaving.signal))[Symbol.asyncIterator]()
    await stream.next()
    const reason = new Error('left')
    const next = stream.next().then(() => undefined, (thrown: unknown) => thrown)
    leaving.abort(reason)
    expect(await next).to.equal(reason)
  })
})
