import { expect } from 'chai'
import { createReplays, type ReplayOptions } from '../../../../node/bridge/replays.ts'
import type { CompletionEvent } from '../../../../node/gateway.ts'
import { TriforceError, type ErrorCode } from '../../../../protocol/errors.ts'
import { finishEvent, settledEvent, textEvent } from '../../../support/bridge-gateway.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'

/** One source per start, fed by the test. */
function setUp(options: ReplayOptions = {}) {
  const clock = fakeClock()
  const replays = createReplays({ clock }, options)
  const sources: { emit(...events: CompletionEvent[]): void; end(): void; fail(code: ErrorCode): void; signal: AbortSignal }[] = []

  function start(signal: AbortSignal): AsyncIterable<CompletionEvent> {
    const queue: (CompletionEvent | Error | 'end')[] = []
    let wake = () => {}
    const push = (...items: typeof queue) => {
      queue.push(...items)
      wake()
    }
    signal.addEventListener('abort', () => push(new TriforceError('CANCELLED')))
    sources.push({ emit: push, end: () => push('end'), fail: (code) => push(new TriforceError(code)), signal })
    return (async function* () {
      for (;;) {
        const item = queue.shift()
        if (item === undefined) await new Promise<void>((resolve) => { wake = resolve })
        else if (item === 'end') return
        else if (item instanceof Error) throw item
        else yield item
      }
    })()
  }

  function ask(name: string, fingerprint = 'same') {
    const leaving = new AbortController()
    const got: { events: CompletionEvent[]; code: string | undefined; isOver: boolean; replayed: boolean | undefined } = { events: [], code: undefined, isOver: false, replayed: undefined }
    void (async () => {
      try {
        const run = replays.run({ name, fingerprint }, start, leaving.signal)
        got.replayed = run.replayed
        for await (const event of run.events) got.events.push(event)
      } catch (error) {
        got.code = (error as TriforceError).code
      }
      got.isOver = true
    })()
    return { got, leaving, text: () => got.events.map((event) => event.type === 'text' ? event.text : '').join('') }
  }
  return { clock, sources, ask }
}

const whole = [textEvent('a'), textEvent('b'), finishEvent(), settledEvent]

describe('node/bridge/replays', () => {
  it('joins a second request to the first while it runs: both get every event, and one job is started', async () => {
    const { sources, ask } = setUp()
    const first = ask('k')
    await settled()
    sources[0]!.emit({ type: 'waiting', state: 'queued', at: 2 }, textEvent('a'))
    await settled()
    const second = ask('k')
    await settled()
    expect(second.text()).to.equal('a')
    sources[0]!.emit(textEvent('b'), finishEvent(), settledEvent)
    sources[0]!.end()
    await settled()
    expect([first.text(), second.text(), sources.length]).to.deep.equal(['ab', 'ab', 1])
    expect([first.got.replayed, second.got.replayed, first.got.isOver, second.got.isOver]).to.deep.equal([false, true, true, true])
    expect(second.got.events.some(({ type }) => type === 'waiting'), 'what it waited for is no news').to.equal(false)
  })

  it('gives a finished answer again until its time is over, to the millisecond', async () => {
    const { clock, sources, ask } = setUp({ keptMs: 1_000 })
    ask('k')
    await settled()
    sources[0]!.emit(...whole)
    sources[0]!.end()
    await settled()
    clock.advance(999)
    const again = ask('k')
    await settled()
    expect([again.got.events, again.got.replayed]).to.deep.equal([whole, true])
    clock.advance(1)
    ask('k')
    await settled()
    expect(sources).to.have.length(2)
  })

  it('refuses a key that came with another request, and tells keys of two accounts apart', async () => {
    const { sources, ask } = setUp()
    ask('me k')
    await settled()
    const other = ask('me k', 'different')
    ask('you k', 'different')
    await settled()
    expect([other.got.code, sources.length]).to.deep.equal(['IDEMPOTENCY_CONFLICT', 2])
  })

  it('does not keep a failure: all who wait get it, and the next one tries anew', async () => {
    const { sources, ask } = setUp()
    const [one, two] = [ask('k'), ask('k')]
    await settled()
    sources[0]!.emit(textEvent('a'))
    sources[0]!.fail('HOST_LOST')
    await settled()
    expect([one.got.code, two.got.code, one.text()]).to.deep.equal(['HOST_LOST', 'HOST_LOST', 'a'])
    ask('k')
    await settled()
    expect(sources).to.have.length(2)
  })

  it('cancels the job when the last one has left, and not before', async () => {
    const { sources, ask } = setUp()
    const [one, two] = [ask('k'), ask('k')]
    await settled()
    one.leaving.abort()
    await settled()
    expect([one.got.code, sources[0]!.signal.aborted]).to.deep.equal(['CANCELLED', false])
    two.leaving.abort()
    await settled()
    expect(sources[0]!.signal.aborted).to.equal(true)
    ask('k')
    await settled()
    expect(sources, 'a cancelled answer is not given again').to.have.length(2)
  })

  it('keeps no more answers, and no longer ones, than it may', async () => {
    const { sources, ask } = setUp({ entriesMax: 2, entryCharsMax: 500 })
    for (const name of ['a', 'b', 'c']) {
      ask(name)
      await settled()
      sources.at(-1)!.emit(...whole)
      sources.at(-1)!.end()
      await settled()
    }
    ask('c')
    await settled()
    expect(sources, 'the newest is kept').to.have.length(3)
    const long = ask('long')
    await settled()
    sources.at(-1)!.emit(textEvent('x'.repeat(600)))
    await settled()
    const late = ask('long')
    await settled()
    expect(late.got.code).to.equal('IDEMPOTENCY_CONFLICT')
    sources.at(-1)!.emit(finishEvent(), settledEvent)
    sources.at(-1)!.end()
    await settled()
    expect(long.text()).to.have.length(600)
    const running = setUp({ entriesMax: 1 })
    running.ask('a')
    await settled()
    const refused = running.ask('b')
    await settled()
    expect(refused.got.code).to.equal('RATE_LIMITED')
  })
})
