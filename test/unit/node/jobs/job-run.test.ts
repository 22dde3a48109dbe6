import { createHash } from 'node:crypto'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { runJob, type JobSeen, type RunJobOptions } from '../../../../node/jobs/job-run.ts'
import type { VectorsEvent } from '../../../../node/jobs/vectors.ts'
import { JOB_SILENCE_MS_MAX } from '../../../../protocol/limits.ts'
import type { JobTell } from '../../../../protocol/messages/job.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { watched } from '../../../support/code-of.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'
import { scriptedHost } from '../../../support/scripted-host.ts'
import { TriforceError } from '../../../../protocol/errors.ts'

const { signer } = testKey()
const signed = signDocument(signer, 'ticket', {})
const chunk = (text: string, tokens: number): JobTell => ({ t: 'chunk', text, tokens })
const end = (completionTokens: number): JobTell => ({ t: 'end', finish: 'stop', usage: { promptTokens: 3, completionTokens }, half: signed })

function setUp(options: Partial<RunJobOptions> = {}) {
  const clock = fakeClock()
  const host = scriptedHost('host')
  const leaving = new AbortController()
  const texts: string[] = []
  const beats: string[] = []
  const job = watched(runJob(host.channel, clock, {
    ask: { t: 'open', ticket: signed, request: Uint8Array.of(1) }, signal: leaving.signal, firstTextMsMax: 120_000,
    listener: {
      onBeat: (beat) => void beats.push(beat.state),
      onDelta: (delta) => {
        if (delta.type === 'text') texts.push(delta.text)
        return undefined
      },
    },
    ...options,
  }))
  async function tell(...frames: readonly JobTell[]): Promise<void> {
    for (const frame of frames) host.tell(frame)
    await settled()
  }
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  const seen = (): JobSeen => {
    expect(job.state).to.equal('done')
    return job.value!
  }
  return { clock, host, leaving, texts, beats, job, tell, pass, seen }
}

describe('node/jobs/job-run', () => {
  it('follows a job to its end: text, usage, hash of the text, time, half', async () => {
    const { host, texts, beats, tell, pass, seen } = setUp()
    expect((await host.asked()).t).to.equal('open')
    await tell({ t: 'beat', state: 'queued', at: 2 }, { t: 'accept' }, { t: 'beat', state: 'loading', at: 500 }, chunk('Hé', 1))
    await pass(1_500)
    await tell({ t: 'progress', note: signed }, chunk('llo', 3), end(3))
    expect(texts).to.deep.equal(['Hé', 'llo'])
    expect(beats).to.deep.equal(['queued', 'loading'])
    expect(seen()).to.deep.include({ usage: { promptTokens: 3, completionTokens: 3 }, finish: 'stop', observedMs: 1_500, clean: true, delivered: true, error: undefined })
    expect(Buffer.from(seen().outputHash)).to.deep.equal(createHash('sha256').update('Héllo').digest())
    expect(seen().half).to.deep.equal(signed)
  })

  it('passes vectors on where they were asked for, and hashes what came', async () => {
    const vectors: VectorsEvent[] = []
    const values = [new Uint8Array(8).fill(1), new Uint8Array(16).fill(2)]
    const listener = { onBeat: () => {}, onDelta: () => undefined, onVectors: (event: VectorsEvent) => void vectors.push(event) }
    const { tell, seen } = setUp({ listener })
    await tell({ t: 'accept' }, ...values.map((bytes): JobTell => ({ t: 'vectors', dimensions: 2, values: bytes })), end(0))
    expect(vectors).to.deep.equal(values.map((bytes) => ({ type: 'vectors', dimensions: 2, values: bytes })))
    expect(seen()).to.deep.include({ delivered: true, clean: true, error: undefined, usage: { promptTokens: 3, completionTokens: 0 } })
    const hash = createHash('sha256')
    for (const bytes of values) hash.update('\0vectors\x002\0').update(bytes)
    expect(Buffer.from(seen().outputHash)).to.deep.equal(hash.digest())

    for (const [asked, frame] of [
      [undefined, { t: 'vectors', dimensions: 2, values: new Uint8Array(8) }], [listener, chunk('a', 1)], [listener, { t: 'vectors', dimensions: 2, values: new Uint8Array(7) }],
    ] as const) {
      const job = setUp(asked === undefined ? {} : { listener: asked })
      await job.tell({ t: 'accept' }, frame)
      expect(job.seen().error?.code, frame.t).to.equal('PROTOCOL_VIOLATION')
    }
  })

  const orders: Readonly<Record<string, readonly JobTell[]>> = {
    'text before accept': [chunk('a', 1)],
    'an end before accept': [end(0)],
    'a failure before accept': [{ t: 'fail', code: 'ENGINE_FAILED', detail: '', usage: { promptTokens: 0, completionTokens: 0 } }],
    'a progress note before accept': [{ t: 'progress', note: signed }],
    'accept twice': [{ t: 'accept' }, { t: 'accept' }],
    'reject after accept': [{ t: 'accept' }, { t: 'reject', code: 'QUEUE_FULL', detail: '' }],
    'reject after text': [{ t: 'accept' }, chunk('a', 1), { t: 'reject', code: 'QUEUE_FULL', detail: '' }],
    'tokens that go backwards': [{ t: 'accept' }, chunk('a', 5), chunk('b', 4)],
    'more tokens than the ticket allows': [{ t: 'accept' }, chunk('a', 101)],
    'more tokens at the end than the ticket allows': [{ t: 'accept' }, chunk('a', 100), end(101)],
  }
  for (const [name, frames] of Object.entries(orders)) {
    it(`takes for a breach: ${name}`, async () => {
      const { tell, seen } = setUp({ tokensMax: 100 })
      await tell(...frames)
      expect(seen().error?.code).to.equal('PROTOCOL_VIOLATION')
      expect(seen().clean).to.equal(false)
      expect(seen().usage.completionTokens).to.be.at.most(100)
    })
  }

  it('reports a refusal and a failure, after which the stream is clean', async () => {
    const refused = setUp()
    await refused.tell({ t: 'reject', code: 'QUEUE_FULL', detail: 'full', retryAfterMs: 9 })
    expect(refused.seen()).to.include({ clean: true, delivered: false, finish: 'error' })
    expect(refused.seen().error).to.include({ code: 'QUEUE_FULL', message: 'full', retryAfterMs: 9 })
    const failed = setUp()
    await failed.tell({ t: 'accept' }, chunk('a', 1), { t: 'fail', code: 'ENGINE_FAILED', detail: '', usage: { promptTokens: 2, completionTokens: 1 }, half: signed })
    expect(failed.seen()).to.deep.include({ clean: true, delivered: true, usage: { promptTokens: 2, completionTokens: 1 }, half: signed })
  })

  it('knows that text was delivered, even where the host counts no tokens', async () => {
    const { tell, seen } = setUp()
    await tell({ t: 'accept' }, chunk('a', 0), { t: 'fail', code: 'ENGINE_FAILED', detail: '', usage: { promptTokens: 0, completionTokens: 0 } })
    expect(seen().delivered).to.equal(true)
  })

  it('makes an unknown code of a newer peer INTERNAL', async () => {
    const { tell, seen } = setUp()
    await tell({ t: 'reject', code: 'FROM_THE_FUTURE', detail: 'x' })
    expect(seen().error?.code).to.equal('INTERNAL')
  })

  it('gives a host up after JOB_SILENCE_MS_MAX without a frame, not one millisecond earlier', async () => {
    const { tell, pass, job, seen } = setUp()
    await tell({ t: 'accept' })
    await pass(JOB_SILENCE_MS_MAX - 1)
    await tell({ t: 'beat', state: 'running' })
    await pass(JOB_SILENCE_MS_MAX - 1)
    expect(job.state).to.equal('pending')
    await pass(1)
    expect(seen().error?.code).to.equal('HOST_SILENT')
    expect(seen().clean).to.equal(false)
  })

  it('waits for the first text no longer than firstTextMsMax, however lively the host is', async () => {
    const { tell, pass, job, seen } = setUp({ firstTextMsMax: 10_000 })
    await tell({ t: 'accept' })
    for (let n = 0; n < 9; n += 1) {
      await pass(1_000)
      await tell({ t: 'beat', state: 'loading', at: n })
    }
    await pass(999)
    expect(job.state).to.equal('pending')
    await pass(1)
    expect(seen().error?.code).to.equal('FIRST_TOKEN_TIMEOUT')
  })

  it('waits for a model for as long as more of it gets loaded, and 60 s longer, and says how far it is', async () => {
    const { tell, pass, seen, job } = setUp({ firstTextMsMax: 600_000 })
    await tell({ t: 'beat', state: 'queued', at: 1 })
    await pass(3_000)
    await tell({ t: 'accept' }, { t: 'beat', state: 'loading', at: 10 })
    for (let second = 1; second <= 90; second += 1) {
      await pass(1_000)
      await tell({ t: 'beat', state: 'loading', at: 10 * second })
    }
    for (let second = 1; second < 60; second += 1) {
      await pass(1_000)
      await tell({ t: 'beat', state: 'loading', at: 900 })
    }
    await pass(999)
    expect(job.state).to.equal('pending')
    await pass(1)
    expect(seen()).to.deep.include({ delivered: false, clean: false })
    expect(seen().error).to.deep.include({ code: 'MODEL_LOADING', context: { progress: 0.9 }, retryAfterMs: 15_000 })
    expect(seen().error!.message).to.include('90%')
  })

  it('has an answer after a load of 90 s', async () => {
    const { tell, pass, seen, texts } = setUp({ firstTextMsMax: 600_000, pieceMsMax: 30_000 })
    await tell({ t: 'accept' })
    for (let second = 0; second < 90; second += 1) {
      await tell({ t: 'beat', state: 'loading', at: 10 * second })
      await pass(1_000)
    }
    await tell({ t: 'beat', state: 'running' }, chunk('Hi', 1), end(1))
    expect([texts, seen().error]).to.deep.equal([['Hi'], undefined])
  })

  it('gives the first word answerMsMax, and the later ones the whole silence', async () => {
    const quiet = setUp({ answerMsMax: 1_500 })
    await quiet.pass(1_499)
    expect(quiet.job.state).to.equal('pending')
    await quiet.pass(1)
    expect(quiet.seen().error?.code).to.equal('HOST_SILENT')
    const lively = setUp({ answerMsMax: 1_500 })
    await lively.tell({ t: 'beat', state: 'queued', at: 3 })
    await lively.pass(JOB_SILENCE_MS_MAX - 1)
    expect(lively.job.state).to.equal('pending')
  })

  it('gives up a host that lives while its engine gives nothing, but not one whose reader was behind', async () => {
    const stuck = setUp({ pieceMsMax: 10_000 })
    await stuck.tell({ t: 'accept' }, chunk('a', 1))
    for (let second = 0; second < 10; second += 1) {
      await stuck.pass(1_000)
      await stuck.tell({ t: 'beat', state: 'running' })
    }
    expect(stuck.job.state).to.equal('pending')
    await stuck.pass(1)
    await stuck.tell({ t: 'beat', state: 'running' })
    expect(stuck.seen().error).to.include({ code: 'HOST_SILENT' })

    let goOn = () => {}
    const behind = setUp({ pieceMsMax: 10_000, listener: { onBeat: () => {}, onDelta: () => new Promise<void>((resolve) => { goOn = resolve }) } })
    await behind.tell({ t: 'accept' }, chunk('a', 1))
    for (let second = 0; second < 60; second += 1) {
      await behind.pass(1_000)
      await behind.tell({ t: 'beat', state: 'running' })
    }
    goOn()
    await settled()
    expect(behind.job.state).to.equal('pending')
    await behind.tell(end(1))
    expect(behind.seen().error).to.equal(undefined)
  })

  it('waits on where the model was loaded in time, for minutes if the host says that it works', async () => {
    const { tell, pass, seen, texts } = setUp({ firstTextMsMax: 600_000 })
    await tell({ t: 'accept' }, { t: 'beat', state: 'loading', at: 900 })
    await pass(3_000)
    for (let second = 0; second < 360; second += 1) {
      await tell({ t: 'beat', state: 'running' })
      await pass(1_000)
    }
    await tell(chunk('Hi', 1), end(1))
    expect(texts).to.deep.equal(['Hi'])
    expect(seen().error).to.equal(undefined)
  })

  it('has no such bound once there was text', async () => {
    const { tell, pass, job } = setUp({ firstTextMsMax: 3_000 })
    await tell({ t: 'accept' }, chunk('a', 1))
    await pass(3_500)
    expect(job.state).to.equal('pending')
  })

  it('takes an end of the stream without an end frame for a loss', async () => {
    const { host, tell, seen } = setUp()
    await tell({ t: 'accept' }, chunk('a', 1))
    host.serving.close()
    await settled()
    expect(seen()).to.deep.include({ delivered: true, clean: false, finish: 'error' })
    expect(seen().error?.code).to.equal('HOST_LOST')
  })

  it('says why a channel broke', async () => {
    const { host, seen } = setUp()
    host.serving.abort(new TriforceError('STOPPING'))
    await settled()
    expect(seen().error?.code).to.equal('STOPPING')
  })

  it('reports a frame that cannot be read', async () => {
    const { host, seen } = setUp()
    host.serving.send(Uint8Array.of(0xff))
    await settled()
    expect(seen().error?.code).to.equal('FRAME_MALFORMED')
    expect(seen().clean).to.equal(false)
  })

  it('asks a cancelled host to stop, reads on to its exact end, and can use the stream again', async () => {
    const { host, leaving, tell, seen } = setUp()
    await host.asked()
    await tell({ t: 'accept' }, chunk('a', 1))
    leaving.abort()
    expect((await host.asked()).t).to.equal('cancel')
    await tell(chunk('b', 2), { t: 'end', finish: 'cancelled', usage: { promptTokens: 3, completionTokens: 2 }, half: signed })
    expect(seen()).to.deep.include({ clean: true, finish: 'cancelled', usage: { promptTokens: 3, completionTokens: 2 }, error: undefined })
  })

  it('sends open and then cancel where it starts cancelled', async () => {
    const { host } = setUp({ signal: AbortSignal.abort() })
    expect((await host.asked()).t).to.equal('open')
    expect((await host.asked()).t).to.equal('cancel')
  })

  it('gives a cancelled host 5 s, however lively it is', async () => {
    const { leaving, tell, pass, job, seen } = setUp()
    await tell({ t: 'accept' })
    leaving.abort()
    for (let n = 0; n < 4; n += 1) {
      await pass(1_000)
      await tell({ t: 'beat', state: 'running' })
    }
    await pass(999)
    expect(job.state).to.equal('pending')
    await pass(1)
    expect(seen().error?.code).to.equal('HOST_SILENT')
  })

  it('does not take its own slow consumer for a silent host', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { tell, pass, job, seen } = setUp({ listener: { onBeat: () => {}, onDelta: () => promise } })
    await tell({ t: 'accept' }, chunk('a', 1), end(1))
    await pass(60_000)
    expect(job.state).to.equal('pending')
    resolve()
    await settled()
    expect(seen().error).to.equal(undefined)
  })

  it('leaves no timer and no listener behind', async () => {
    const { host, leaving, clock, tell, seen } = setUp()
    await host.asked()
    await tell({ t: 'accept' }, end(0))
    leaving.abort()
    clock.advance(3_600_000)
    await settled()
    expect(seen().error).to.equal(undefined)
    expect(host.channel.closed.aborted).to.equal(false)
    expect(host.serving.waiting.readBytes).to.equal(0)
  })

  it('never throws and never counts backwards, whatever comes', async () => {
    const tokens = fc.nat({ max: 120 })
    const frame: fc.Arbitrary<JobTell> = fc.oneof(
      fc.constant<JobTell>({ t: 'accept' }),
      fc.constant<JobTell>({ t: 'beat', state: 'running' }),
      fc.record({ t: fc.constant('chunk' as const), text: fc.string({ maxLength: 4 }), tokens }),
      fc.constant<JobTell>({ t: 'progress', note: signed }),
      fc.constant<JobTell>({ t: 'reject', code: 'X', detail: '' }),
      tokens.map((count): JobTell => ({ t: 'fail', code: 'INTERNAL', detail: '', usage: { promptTokens: 0, completionTokens: count } })),
      tokens.map(end),
    )
    await fc.assert(fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (frames) => {
      const { host, texts, tell, seen } = setUp({ tokensMax: 100 })
      await tell(...frames)
      host.serving.close()
      await settled()
      const result = seen()
      expect(result.usage.completionTokens).to.be.at.most(100)
      expect(result.delivered).to.equal(texts.length > 0)
      expect(Buffer.from(result.outputHash)).to.deep.equal(createHash('sha256').update(texts.join('')).digest())
    }), { numRuns: 60 })
  })
})
