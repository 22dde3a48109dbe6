/** The exact bytes of a stream, when each of them goes out, and the pace of a slow reader. */
import { expect } from 'chai'
import { finishEvent, settledEvent, testServed, textEvent, type ScriptedRun } from '../support/bridge-gateway.ts'
import {
  chatBody, chatRequestText, rawConnection, sseEvents, startTestBridge, unchunk, type RawConnection, type TestBridge,
} from '../support/bridge-server.ts'
import { fakeClock, settled, type FakeClock } from '../support/fake-clock.ts'
import { until } from '../support/until.ts'

const streamBody = { ...chatBody, stream: true }

describe('bridge: streams', () => {
  let test: TestBridge
  let clock: FakeClock

  beforeEach(async () => {
    clock = fakeClock()
    test = await startTestBridge({}, { clock })
  })
  afterEach(async () => {
    // The deadline of the stop is on the clock that stands still.
    const stopped = test.stop()
    await settled()
    clock.advance(20_000)
    await settled()
    clock.advance(20_000)
    await stopped
  })

  async function open(body: unknown = streamBody): Promise<{ connection: RawConnection; run: ScriptedRun }> {
    const connection = rawConnection(test.port)
    connection.send(chatRequestText(body, 'connection: close\r\n'))
    return { connection, run: await test.gateway.nextRun() }
  }

  it('sends exactly these bytes', async () => {
    const { connection, run } = await open({ ...streamBody, stream_options: { include_usage: true } })
    run.answer('Tri', 'Förce')
    const response = await connection.closed
    const headers = response.slice(0, response.indexOf('\r\n\r\n')).toLowerCase()
    expect(headers).to.match(/^http\/1\.1 200 ok\r\n/)
    for (const header of ['content-type: text/event-stream; charset=utf-8', 'cache-control: no-cache, no-transform',
      'x-accel-buffering: no']) {
      expect(headers).to.include(header)
    }
    expect(headers).to.not.include('content-encoding')
    const id = /x-request-id: req_([0-9a-f]{24})/.exec(headers)?.[1]
    const head = `data: {"id":"chatcmpl-${id}","object":"chat.completion.chunk","created":1800000000,"model":"demo"`
    const triforce = {
      host: testServed.host, host_name: 'lender', hub: 'alpha', receipt: `rcpt_${'ab'.repeat(16)}`, durability: 'replicated',
      cost_micro_credits: '0', attempts: 1, model: 'demo',
    }
    const unfinished = '"logprobs":null,"finish_reason":null}],"usage":null}'
    expect(unchunk(response)).to.equal([
      `${head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},${unfinished}`,
      `${head},"choices":[{"index":0,"delta":{"content":"Tri"},${unfinished}`,
      `${head},"choices":[{"index":0,"delta":{"content":"Förce"},${unfinished}`,
      `${head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"triforce":${JSON.stringify(triforce)},"usage":null}`,
      `${head},"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`,
      'data: [DONE]',
      '',
    ].join('\n\n'))
  })

  it('sends all events of a turn as one chunk', async () => {
    const { connection, run } = await open()
    run.emit(...Array.from({ length: 50 }, (_, index) => textEvent(`t${index} `)))
    await connection.until('t49 ')
    const body = connection.received.slice(connection.received.indexOf('\r\n\r\n') + 4)
    expect(Number.parseInt(body, 16)).to.be.greaterThan(50 * 100)
  })

  it('keeps the end back until the receipt is durable', async () => {
    const { connection, run } = await open()
    run.emit(textEvent('all of it'), finishEvent())
    await connection.until('all of it')
    await until('the finish to be pulled', () => run.pulled === 2)
    await settled()
    expect(connection.received).to.not.include('"finish_reason":"stop"')
    run.emit(settledEvent)
    expect(await connection.closed).to.include('"finish_reason":"stop"').and.to.include('[DONE]')
  })

  it('shows an empty answer as one', async () => {
    const { connection, run } = await open()
    run.emit(textEvent(''), finishEvent(), settledEvent)
    const events = sseEvents(unchunk(await connection.closed))
    expect(events).to.have.length(3)
    expect(events[0]).to.include('"role":"assistant"')
  })

  it('answers a failure before the first event with its status', async () => {
    const { connection, run } = await open()
    run.emit({ type: 'waiting', state: 'placing' }, { type: 'waiting', state: 'queued', at: 3 })
    await settled()
    clock.advance(999)
    run.fail('QUEUE_FULL')
    const response = await connection.closed
    expect(response).to.match(/^HTTP\/1\.1 503 /).and.to.include('retry-after: 2').and.to.include('"code":"queue_full"')
  })

  it('tells what it waits for once that has lasted a second', async () => {
    const { connection, run } = await open()
    run.emit({ type: 'waiting', state: 'queued', at: 3 })
    await until('the event to be pulled', () => run.pulled === 1)
    expect(connection.received).to.equal('')
    clock.advance(1_000)
    await connection.until(': queued 3\n\n')
    run.emit({ type: 'waiting', state: 'queued', at: 3 }, { type: 'waiting', state: 'loading', at: 0.4 })
    run.emit({ type: 'waiting', state: 'running' })
    run.answer('x')
    const events = sseEvents(unchunk(await connection.closed))
    expect(events.slice(0, 3)).to.deep.equal([': queued 3', ': loading 40%', ': running'])
  })

  it('waits six minutes for the first token, with a comment every 15 s, and where no stream is asked for as well', async () => {
    const { connection, run } = await open()
    const whole = await open(chatBody)
    for (const late of [run, whole.run]) late.emit({ type: 'waiting', state: 'placing' })
    await until('both to be pulled', () => run.pulled === 1 && whole.run.pulled === 1)
    for (let quarter = 1; quarter <= 24; quarter += 1) {
      clock.advance(15_000)
      await until(`comment ${quarter}`, () => connection.received.split(': keep-alive').length === quarter + 1)
    }
    expect(whole.connection.received).to.equal('')
    for (const late of [run, whole.run]) late.answer('late')
    expect(sseEvents(unchunk(await connection.closed)).some((event) => event.includes('"content":"late"'))).to.equal(true)
    expect(await whole.connection.closed).to.match(/^HTTP\/1\.1 200 [^]*"content":"late"/)
  })

  it('keeps a silent stream alive every 15 s and not earlier, also before a host is found', async () => {
    const { connection, run } = await open()
    run.emit({ type: 'waiting', state: 'placing' })
    await until('the event to be pulled', () => run.pulled === 1)
    clock.advance(14_999)
    await settled()
    expect(connection.received).to.equal('')
    clock.advance(1)
    await connection.until(': keep-alive\n\n')
    clock.advance(10_000)
    run.emit(textEvent('word'))
    await connection.until('word')
    clock.advance(14_999)
    await settled()
    expect(connection.received.split('keep-alive')).to.have.length(2)
    clock.advance(1)
    await until('the second comment', () => connection.received.split('keep-alive').length === 3)
    run.emit(finishEvent(), settledEvent)
    await connection.closed
  })

  const brokenEnds: readonly (readonly [name: string, code: string, end: (run: ScriptedRun) => void])[] = [
    ['the host dies', 'host_lost', (run) => run.fail('HOST_LOST')],
    ['the receipt does not get durable', 'no_hub', (run) => {
      run.emit(finishEvent())
      run.fail('NO_HUB')
    }],
    ['the host cancels', 'engine_failed', (run) => run.emit(finishEvent('cancelled'), settledEvent)],
    ['the engine says error', 'engine_failed', (run) => run.emit(finishEvent('error'), settledEvent)],
    ['the gateway says cancelled', 'engine_failed', (run) => run.fail('CANCELLED')],
    ['the receipt comes before the end', 'internal', (run) => run.emit(settledEvent)],
  ]
  for (const [name, code, end] of brokenEnds) {
    it(`ends with an error chunk and without [DONE] when ${name}`, async () => {
      const { connection, run } = await open()
      run.emit(textEvent('half'))
      end(run)
      const response = await connection.closed
      const events = sseEvents(unchunk(response))
      expect(response).to.match(/\r\n0\r\n\r\n$/)
      expect(JSON.parse(events.at(-1)!)).to.deep.nested.include({ 'choices[0].finish_reason': 'error', 'error.code': code })
      expect(response).to.not.include('[DONE]').and.to.not.include('"finish_reason":"stop"')
      expect(run.signal.aborted).to.equal(true)
    })
  }

  it('answers an engine that says error with a status where no stream was asked for', async () => {
    const { connection, run } = await open(chatBody)
    run.emit(textEvent('half'), finishEvent('error'), settledEvent)
    expect(await connection.closed).to.match(/^HTTP\/1\.1 502 /).and.to.include('"code":"engine_failed"')
  })

  it('does not pull on while the client does not read, and delivers every byte when it does', async function () {
    this.timeout(20_000)
    const part = 'x'.repeat(64 * 1024)
    const parts = 1_000
    let produced = 0
    test.gateway.script = async function* () {
      for (; produced < parts; produced += 1) yield textEvent(part)
      yield finishEvent()
      yield settledEvent
    }
    const connection = rawConnection(test.port)
    connection.socket.pause()
    connection.send(chatRequestText(streamBody, 'connection: close\r\n'))
    await test.gateway.nextRun()
    // What the kernel's two socket buffers hold (up to 10 MiB here) and one write.
    let before = -1
    await until('the source to stand still', async () => {
      const still = before === produced && produced > 0
      before = produced
      await new Promise((resolve) => setTimeout(resolve, 50))
      return still && before === produced
    })
    const ahead = produced * part.length
    console.log(`      pulled ${(ahead / 2 ** 20).toFixed(1)} MiB of ${(parts * part.length) / 2 ** 20} MiB ahead of the client`)
    expect(ahead).to.be.lessThan(16 * 2 ** 20)

    let bytes = 0
    connection.socket.removeAllListeners('data')
    connection.socket.on('data', (text: string) => {
      bytes += text.length
    })
    connection.socket.resume()
    await connection.closed
    expect(produced).to.equal(parts)
    expect(bytes).to.be.greaterThan(parts * part.length)
  })

  it('drops a client that takes nothing for too long, and stops its engine', async () => {
    const short = await startTestBridge({ stalledMsMax: 100 })
    try {
      short.gateway.script = async function* () {
        for (;;) yield textEvent('x'.repeat(64 * 1024))
      }
      const connection = rawConnection(short.port)
      connection.socket.pause()
      connection.send(chatRequestText(streamBody))
      const run = await short.gateway.nextRun()
      await run.aborted
      await run.ended
      connection.socket.destroy()
    } finally {
      await short.stop()
    }
  })

  it('refuses to collect an answer without end into one body', async () => {
    const small = await startTestBridge({ answerCharsMax: 1_000 })
    try {
      small.gateway.script = async function* () {
        for (;;) yield textEvent('x'.repeat(100))
      }
      const connection = rawConnection(small.port)
      connection.send(chatRequestText(chatBody, 'connection: close\r\n'))
      expect(await connection.closed).to.match(/^HTTP\/1\.1 502 /).and.to.include('engine_failed')
      expect(small.gateway.runs[0]?.signal.aborted).to.equal(true)
    } finally {
      await small.stop()
    }
  })
})
