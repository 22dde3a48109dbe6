/** A client that leaves, in every phase of its request, stops the engine at once. */
import { expect } from 'chai'
import { textEvent, type ScriptedRun } from '../support/bridge-gateway.ts'
import { chatBody, chatRequestText, rawConnection, startTestBridge, type RawConnection, type TestBridge } from '../support/bridge-server.ts'
import { until } from '../support/until.ts'

const streamBody = { ...chatBody, stream: true }

describe('bridge: a client that leaves', () => {
  let test: TestBridge

  beforeEach(async () => {
    test = await startTestBridge({ quietMs: 1 })
  })
  afterEach(() => test.stop())

  async function ask(body: unknown): Promise<{ connection: RawConnection; run: ScriptedRun }> {
    const connection = rawConnection(test.port)
    connection.send(chatRequestText(body))
    return { connection, run: await test.gateway.nextRun() }
  }

  type Prepare = (connection: RawConnection, run: ScriptedRun) => Promise<void>
  const phases: readonly (readonly [name: string, body: unknown, prepare: Prepare])[] = [
    ['before its answer, where it did not ask for a stream', chatBody, () => Promise.resolve()],
    ['with half of its answer collected', chatBody, (_connection, run) => {
      run.emit(textEvent('half'))
      return until('the text to be pulled', () => run.pulled === 1)
    }],
    ['before the headers of its stream', streamBody, () => Promise.resolve()],
    ['while it is queued', streamBody, (connection, run) => {
      run.emit({ type: 'waiting', state: 'queued', at: 3 })
      return connection.until(': queued 3')
    }],
    ['in the middle of its stream', streamBody, (connection, run) => {
      run.emit(textEvent('half'))
      return connection.until('half')
    }],
    ['after the end, before the receipt is durable', streamBody, (connection, run) => {
      run.emit(textEvent('all'), { type: 'finish', finish: 'stop', usage: { promptTokens: 1, completionTokens: 1 } })
      return connection.until('all')
    }],
  ]
  for (const [name, body, prepare] of phases) {
    for (const way of ['closes', 'resets'] as const) {
      it(`${way} ${name}`, async () => {
        const { connection, run } = await ask(body)
        await prepare(connection, run)
        expect(run.signal.aborted).to.equal(false)
        const leftAt = performance.now()
        if (way === 'closes') connection.socket.end()
        else connection.socket.resetAndDestroy()
        await run.aborted
        const tookMs = performance.now() - leftAt
        expect(tookMs, 'milliseconds until the abort').to.be.lessThan(100)
        await run.ended
        await until('the abort to be counted', async () => (await metrics(test)).includes('triforce_bridge_client_aborts_total 1\n'))
        expect(await metrics(test)).to.include('triforce_bridge_completions_running 0\n')
        expect(test.logLines.filter((line) => line.level === 'warn' || line.level === 'error')).to.deep.equal([])
      })
    }
  }

  it('leaves while the socket is full of what it never read', async () => {
    test.gateway.script = async function* () {
      for (;;) yield textEvent('x'.repeat(64 * 1024))
    }
    const connection = rawConnection(test.port)
    connection.socket.pause()
    connection.send(chatRequestText(streamBody))
    const run = await test.gateway.nextRun()
    let before = -1
    await until('the source to stand still', async () => {
      const still = run.pulled > 0 && before === run.pulled
      before = run.pulled
      await new Promise((resolve) => setTimeout(resolve, 50))
      return still && before === run.pulled
    })
    connection.socket.resetAndDestroy()
    await run.aborted
    await run.ended
  })

  it('leaves with several requests on one connection, of which only the first has a turn', async () => {
    const connection = rawConnection(test.port)
    connection.send(chatRequestText(streamBody).repeat(30))
    const runs: ScriptedRun[] = []
    for (let i = 0; i < 30; i++) runs.push(await test.gateway.nextRun())
    connection.socket.resetAndDestroy()
    await Promise.all(runs.map((run) => run.ended))
    expect(runs.every((run) => run.signal.aborted)).to.equal(true)
  })

  it('leaves while its key is being checked, and no engine starts', async () => {
    const checking = Promise.withResolvers<void>()
    const free = Promise.withResolvers<void>()
    const authenticate = test.gateway.authenticate.bind(test.gateway)
    test.gateway.authenticate = async (key) => {
      checking.resolve()
      await free.promise
      return authenticate(key)
    }
    const connection = rawConnection(test.port)
    connection.send(chatRequestText(chatBody))
    await checking.promise
    connection.socket.resetAndDestroy()
    await until('the bridge to see it', async () => (await metrics(test)).includes('route="/v1/chat/completions",status="4xx"} 1'))
    free.resolve()
    await connection.closed
    await until('the check to end', () => test.gateway.authentications === 1)
    await new Promise((resolve) => setImmediate(resolve))
    expect(test.gateway.runs).to.have.length(0)
  })

  it('ends well, and nothing is aborted', async () => {
    const { connection, run } = await ask(streamBody)
    run.answer('whole')
    await connection.until('[DONE]')
    await run.ended
    connection.socket.destroy()
    await connection.closed
    await until('the connection to be gone', async () => (await metrics(test)).includes('route="/v1/chat/completions",status="2xx"} 1'))
    expect(run.signal.aborted).to.equal(false)
    const text = await metrics(test)
    expect(text).to.include('triforce_bridge_client_aborts_total 0\n').and.to.include('triforce_bridge_completion_tokens_total 3\n')
  })
})

async function metrics(test: TestBridge): Promise<string> {
  return (await fetch(`${test.url}/metrics`)).text()
}
