/** Start and stop of the bridge. */
import { expect } from 'chai'
import { createServer, type AddressInfo } from 'node:net'
import { createClock, createRandom } from '../../bootstrap/system.ts'
import { createBridge, type Bridge } from '../../node/bridge/server.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import { createScriptedGateway, textEvent } from '../support/bridge-gateway.ts'
import { chatBody, chatRequestText, rawConnection, startTestBridge, unchunk } from '../support/bridge-server.ts'
import { quietLog } from '../support/quiet-log.ts'

const streamBody = { ...chatBody, stream: true }

describe('bridge: start and stop', () => {
  it('names a busy port, and may then be started on another', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve)
    })
    const { port } = other.address() as AddressInfo
    const bridge = createTestBridge(port)
    try {
      await bridge.start()
      expect.fail('started on a busy port')
    } catch (thrown) {
      const error = toTriforceError(thrown)
      expect(error.code).to.equal('CONFIG_INVALID')
      expect(error.context).to.deep.equal({ host: '127.0.0.1', port, reason: 'EADDRINUSE' })
      expect(error.message).to.include(String(port)).and.to.include('in use')
    }
    const started = await bridge.start({ port: 0 })
    expect(started.port).to.not.equal(port)
    expect((await fetch(`http://127.0.0.1:${started.port}/health`)).status).to.equal(200)
    await bridge.stop()
    other.close()
  })

  it('stops at once when nothing runs, also with idle connections, twice, and before a start', async () => {
    const test = await startTestBridge({ stopMsMax: 60_000 })
    const idle = rawConnection(test.port)
    idle.send('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await idle.until('ok')
    await Promise.all([test.stop(), test.stop()])
    await idle.closed
    await createTestBridge(0).stop()
  })

  it('lets a running stream end, and takes nothing new meanwhile', async () => {
    const test = await startTestBridge({ stopMsMax: 60_000 })
    const connection = rawConnection(test.port)
    connection.send(chatRequestText(streamBody))
    const run = await test.gateway.nextRun()
    run.emit(textEvent('first'))
    await connection.until('first')
    const pipelined = rawConnection(test.port)
    pipelined.send('GET /health HTTP/1.1\r\nhost: localhost\r\n')
    const stopped = test.stop()
    // Already connected, so the refusal can be told.
    pipelined.send('\r\n')
    run.answer('last')
    await connection.until('[DONE]')
    await stopped
    expect(run.signal.aborted).to.equal(false)
    expect(await connection.closed).to.include('last')
    expect(await pipelined.closed).to.satisfy((text: string) => text === '' || text.includes('"code":"stopping"'))
  })

  for (const way of ['its deadline', 'the signal']) {
    it(`ends what still runs at ${way}, and tells the client so`, async () => {
      const test = await startTestBridge({ stopMsMax: way === 'its deadline' ? 50 : 60_000 })
      const streaming = rawConnection(test.port)
      streaming.send(chatRequestText(streamBody))
      const run = await test.gateway.nextRun()
      run.emit(textEvent('first'))
      await streaming.until('first')
      const waiting = rawConnection(test.port)
      waiting.send(chatRequestText(chatBody))
      await test.gateway.nextRun()
      const controller = new AbortController()
      const stopped = test.bridge.stop({ signal: controller.signal })
      if (way === 'the signal') controller.abort()
      await stopped
      const text = await streaming.closed
      expect(unchunk(text)).to.include('"code":"stopping"')
      expect(text).to.not.include('[DONE]')
      expect(await waiting.closed).to.match(/^HTTP\/1\.1 503 /).and.to.include('"code":"stopping"')
      expect(test.gateway.runs.every((one) => one.signal.aborted)).to.equal(true)
    })
  }

  it('binds loopback only, unless told otherwise; then it asks for a key for its metrics and takes any Host', async () => {
    const open = await startTestBridge({ host: '0.0.0.0' })
    try {
      expect((await fetch(`${open.url}/metrics`)).status).to.equal(401)
      const connection = rawConnection(open.port)
      connection.send('GET /health HTTP/1.1\r\nhost: hub.example\r\nconnection: close\r\n\r\n')
      expect(await connection.closed).to.match(/^HTTP\/1\.1 200 /)
    } finally {
      await open.stop()
    }
    const named = await startTestBridge({ hostNames: ['Hub.example'] })
    try {
      const connection = rawConnection(named.port)
      connection.send('GET /health HTTP/1.1\r\nhost: hub.EXAMPLE:8330\r\nconnection: close\r\n\r\n')
      expect(await connection.closed).to.match(/^HTTP\/1\.1 200 /)
    } finally {
      await named.stop()
    }
  })

  it('refuses more completions at once than it may run', async () => {
    const test = await startTestBridge({ runningMax: 1 })
    try {
      const first = rawConnection(test.port)
      first.send(chatRequestText(streamBody))
      const run = await test.gateway.nextRun()
      const second = rawConnection(test.port)
      second.send(chatRequestText(streamBody, 'connection: close\r\n'))
      expect(await second.closed).to.match(/^HTTP\/1\.1 503 /).and.to.include('queue_full')
      run.answer('done')
      await first.until('[DONE]')
    } finally {
      await test.stop()
    }
  })
})

function createTestBridge(port: number): Bridge {
  return createBridge({ gateway: createScriptedGateway(), clock: createClock(), random: createRandom(), log: quietLog() }, { port })
}
