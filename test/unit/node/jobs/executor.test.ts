import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { createExecutor, type ExecutorComponents } from '../../../../node/jobs/executor.ts'
import { createJobQueue } from '../../../../node/jobs/job-queue.ts'
import { createJobServer } from '../../../../node/jobs/job-server.ts'
import { createTicketGate } from '../../../../node/jobs/tickets.ts'
import { createLocalChannels } from '../../../../node/net/local-channel.ts'
import { decode, encode } from '../../../../protocol/codec.ts'
import type { EmbeddingRequest, JobRequest } from '../../../../protocol/completion.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { CHUNK_WAIT_MS_MAX, JOB_BEAT_MS, JOB_MS_MAX, PROGRESS_MS, PROGRESS_MS_MIN, PROGRESS_TOKENS } from '../../../../protocol/limits.ts'
import { jobTellSchema, progressNoteSchema, type JobAsk, type JobTell } from '../../../../protocol/messages/job.ts'
import { receiptHalfSchema, ticketHashOf } from '../../../../protocol/messages/receipt.ts'
import { openDocument, type Signed } from '../../../../protocol/signed.ts'
import { aRequest } from '../../../support/completions.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { testFederation, testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { handFed, sayWords, scriptedProvider, type ProviderScript } from '../../../support/scripted-provider.ts'
import { seededRandom } from '../../../support/seeded-random.ts'
import { issuedNow, turnSignerOf } from '../../../support/issued-ticket.ts'

const { federation, hubs } = testFederation()
const contributor = testKey()

function setUp(script: ProviderScript, options: { slots?: number; devices?: readonly string[]; lending?: ExecutorComponents['lending'] } = {}) {
  const clock = fakeClock()
  const random = seededRandom(5)
  const provider = scriptedProvider(script)
  const queue = createJobQueue({ clock }, { slots: () => options.slots ?? 1, waitingMax: 1 })
  const executor = createExecutor({
    provider, queue, signer: contributor.signer, turnSigner: turnSignerOf(contributor.signer), clock, log: quietLog(), boot: random.bytes(16), devices: () => options.devices ?? ['cpu'],
    ...(options.lending === undefined ? {} : { lending: options.lending }),
    gate: createTicketGate({ clock }, { federation, publicKey: contributor.signer.publicKey }),
  })
  const server = createJobServer({ serveOpen: executor.serveOpen })

  function ticketFor(request: JobRequest, part: { model?: string; tokensMax?: number } = {}): Signed {
    return issuedNow({ signer: hubs[0]!.signer, clock, random }, federation.network, {
      contributor: contributor.signer.publicKey, account: new Uint8Array(16), model: part.model ?? request.model, requestHash: sha256(encode(request)), priority: 0, tokensMax: part.tokensMax,
    }).signed
  }

  /** A channel to the server, whose frames are collected as they come. */
  function connect() {
    const [near, far] = createLocalChannels('asker')
    const outcome = { code: undefined as string | undefined, isOver: false }
    server(far).then(() => { outcome.isOver = true }, (error: unknown) => {
      outcome.code = (error as TriforceError).code
      far.abort(error as TriforceError)
    })
    const frames: JobTell[] = []
    let isReading = false
    const read = async () => {
      isReading = true
      try {
        for (let frame = await near.read(); frame !== undefined; frame = await near.read()) frames.push(decode(jobTellSchema, frame))
      } catch {
        // The test looks at `outcome`.
      }
    }
    return {
      near, frames, outcome,
      ask: (ask: JobAsk) => near.send(encode(ask)),
      open(request: JobRequest = aRequest(), part: { model?: string; tokensMax?: number; ticket?: Signed } = {}): Signed {
        const ticket = part.ticket ?? ticketFor(request, part)
        near.send(encode({ t: 'open', ticket, request: encode(request) } satisfies JobAsk))
        if (!isReading) void read()
        return ticket
      },
      openUnread(request: JobRequest = aRequest()): void {
        near.send(encode({ t: 'open', ticket: ticketFor(request), request: encode(request) } satisfies JobAsk))
      },
      read: () => void read(),
      last: () => frames.at(-1)!,
      text: () => frames.map((frame) => frame.t === 'chunk' ? frame.text : '').join(''),
    }
  }

  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  /** Lets a job run to its last frame. */
  async function finish(job: { frames: readonly JobTell[] }): Promise<void> {
    for (let n = 0; n < 500; n += 1) {
      await settled()
      if (['end', 'fail', 'reject'].includes(job.frames.at(-1)?.t ?? '')) return
      clock.advance(CHUNK_WAIT_MS_MAX)
    }
    throw new Error('the job has no end')
  }
  return { clock, provider, queue, executor, connect, ticketFor, pass, finish }
}

describe('node/jobs/executor', () => {
  it('says accept with the first piece, and without one after 10 ms and not one millisecond earlier', async () => {
    const engine = handFed()
    const { connect, pass } = setUp(engine.script, { slots: 2 })
    const quick = connect()
    quick.open()
    await settled()
    engine.give({ type: 'text', text: 'a', tokens: 1 })
    await settled()
    expect(quick.frames.map(({ t }) => t)).to.deep.equal(['accept', 'chunk'])
    const slow = connect()
    slow.open()
    await settled()
    await pass(9)
    expect(slow.frames).to.deep.equal([])
    await pass(1)
    expect(slow.frames).to.deep.equal([{ t: 'accept' }])
  })

  it('serves a job: accept, text, end with usage and a half that it signed', async () => {
    const { connect, executor, finish } = setUp(sayWords(['Tri', 'Force']))
    const job = connect()
    const ticket = job.open()
    await finish(job)
    expect(job.frames.map((frame) => frame.t).filter((t) => t !== 'beat' && t !== 'progress')).to.deep.equal(['accept', 'chunk', 'chunk', 'end'])
    expect(job.text()).to.equal('TriForce')
    const end = job.last() as Extract<JobTell, { t: 'end' }>
    expect(end).to.deep.include({ finish: 'stop', usage: { promptTokens: 5, completionTokens: 2 } })
    const half = openDocument('receiptHalf', receiptHalfSchema, end.half!)
    expect(Buffer.from(end.half!.key)).to.deep.equal(Buffer.from(contributor.signer.publicKey))
    expect(Buffer.from(half.ticketHash)).to.deep.equal(Buffer.from(ticketHashOf(ticket)))
    expect(Buffer.from(half.outputHash)).to.deep.equal(createHash('sha256').update('TriForce').digest())
    expect(half).to.deep.include({ usage: end.usage, finish: 'stop', device: 'cpu', modelDigest: 'ab'.repeat(32) })
    expect(half.endMs).to.be.at.least(half.startMs)
    expect(executor.counts).to.deep.equal({ served: 1, failed: 0 })
  })

  describe('makes embeddings', () => {
    const texts: EmbeddingRequest = { kind: 'embedding', model: 'tiny', inputs: ['a', 'b'] }
    const made = { vectors: [Float32Array.of(1, 2), Float32Array.of(3, 4)], usage: { promptTokens: 6, completionTokens: 0 } }
    const frames = (job: { frames: readonly JobTell[] }) => job.frames.filter(({ t }) => t !== 'beat')

    it('in one frame where they fit, with a half that hashes their bytes', async () => {
      const { connect, provider, executor, finish } = setUp(sayWords([]))
      provider.embed = () => Promise.resolve(made)
      const job = connect()
      job.open(texts)
      await finish(job)
      const values = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
      expect(frames(job).slice(0, 2)).to.deep.equal([{ t: 'accept' }, { t: 'vectors', dimensions: 2, values }])
      const end = job.last() as Extract<JobTell, { t: 'end' }>
      expect(end).to.deep.include({ finish: 'stop', usage: { promptTokens: 6, completionTokens: 0 } })
      const { outputHash } = openDocument('receiptHalf', receiptHalfSchema, end.half!)
      expect(Buffer.from(outputHash)).to.deep.equal(createHash('sha256').update('\0vectors\x002\0').update(values).digest())
      expect(executor.counts).to.deep.equal({ served: 1, failed: 0 })
    })

    it('not where no engine does, and not too few', async () => {
      const { connect, provider, finish } = setUp(sayWords([]))
      const without = connect()
      without.open(texts)
      await finish(without)
      expect(without.last()).to.include({ t: 'fail', code: 'CAPABILITY_MISSING' })
      provider.embed = () => Promise.resolve({ ...made, vectors: made.vectors.slice(1) })
      const few = connect()
      few.open(texts)
      await finish(few)
      expect(few.last()).to.include({ t: 'fail', code: 'ENGINE_FAILED' })
    })

    it('until the asking side cancels: the engine is stopped, and the job ends in order', async () => {
      const { connect, provider, finish, pass } = setUp(sayWords([]))
      let isAborted = false
      provider.embed = (_request, { signal }) => new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          isAborted = true
          reject(new TriforceError('CANCELLED'))
        })
      })
      const job = connect()
      job.open(texts)
      await pass(0)
      await pass(JOB_BEAT_MS)
      expect(job.last(), 'it lives').to.include({ t: 'beat', state: 'running' })
      job.ask({ t: 'cancel' })
      await finish(job)
      expect(isAborted).to.equal(true)
      expect(job.last()).to.deep.include({ t: 'end', finish: 'cancelled', usage: { promptTokens: 0, completionTokens: 0 } })
    })
  })

  it('names all devices in the half where there are several, and one alone otherwise', async () => {
    for (const devices of [['gpu', 'gpu #2'], ['gpu']]) {
      const { connect, finish } = setUp(sayWords(['a']), { devices })
      const job = connect()
      job.open()
      await finish(job)
      const { half } = job.last() as Extract<JobTell, { t: 'end' }>
      const said = openDocument('receiptHalf', receiptHalfSchema, half!)
      expect([said.device, said.devices]).to.deep.equal(['gpu', devices.length > 1 ? devices : undefined])
    }
  })

  it('serves one job after the other on one stream', async () => {
    const { connect, finish } = setUp(sayWords(['a']))
    const job = connect()
    job.open()
    await finish(job)
    job.frames.length = 0
    job.open()
    await finish(job)
    expect(job.last().t).to.equal('end')
  })

  it('never lets a request have more tokens than the ticket allows', async () => {
    const { connect, provider, finish } = setUp(sayWords(['a']))
    for (const [asked, allowed, given] of [[undefined, 50, 50], [10, 50, 10], [90, 50, 50]] as const) {
      const job = connect()
      job.open(aRequest(asked === undefined ? {} : { maxTokens: asked }), { tokensMax: allowed })
      await finish(job)
      expect(provider.requests.at(-1)!.maxTokens).to.equal(given)
    }
  })

  describe('refuses before anything is computed', () => {
    it('a ticket that was used, is for another request, another model, or a model that is not here', async () => {
      const { connect, ticketFor, provider, finish } = setUp(sayWords(['a']))
      const code = async (open: (job: ReturnType<typeof connect>) => void) => {
        const job = connect()
        open(job)
        await finish(job)
        return (job.last() as Extract<JobTell, { t: 'reject' }>).code
      }
      const used = ticketFor(aRequest())
      await code((job) => job.open(aRequest(), { ticket: used }))
      const runs = provider.requests.length
      expect(await code((job) => job.open(aRequest(), { ticket: used }))).to.equal('TICKET_USED')
      expect(await code((job) => job.open(aRequest({ maxTokens: 1 }), { ticket: ticketFor(aRequest()) }))).to.equal('TICKET_INVALID')
      expect(await code((job) => job.open(aRequest(), { model: 'other' }))).to.equal('TICKET_INVALID')
      expect(await code((job) => job.open(aRequest({ model: 'unknown' })))).to.equal('MODEL_NOT_FOUND')
      expect(await code((job) => job.open({ ...aRequest(), temperature: 9 }))).to.equal('FRAME_MALFORMED')
      expect(provider.requests).to.have.length(runs)
    })

    it('a job while its operator does not lend; what runs goes on', async () => {
      const fed = handFed()
      let refusal: TriforceError | undefined
      const { connect, provider } = setUp(fed.script, { slots: 2, lending: { refusal: () => refusal, rankOf: () => 0 } })
      const first = connect()
      first.open()
      await settled()
      refusal = new TriforceError('LENDING_PAUSED', {}, { retryAfterMs: 5_000 })
      const second = connect()
      second.open()
      await settled()
      expect(second.last()).to.deep.include({ t: 'reject', code: 'LENDING_PAUSED', retryAfterMs: 5_000 })
      fed.give({ type: 'text', text: 'still here', tokens: 1 })
      fed.give({ type: 'end', finish: 'stop', usage: { promptTokens: 1, completionTokens: 1 } })
      fed.end()
      await settled()
      expect([first.last().t, provider.requests.length]).to.deep.equal(['end', 1])
    })

    it('a job for which there is no place', async () => {
      const { connect, queue, finish } = setUp(handFed().script)
      for (let n = 0; n < 2; n += 1) connect().open()
      await settled()
      expect([queue.running, queue.waiting]).to.deep.equal([1, 1])
      const third = connect()
      third.open()
      await finish(third)
      expect(third.last()).to.deep.include({ t: 'reject', code: 'QUEUE_FULL' })
      queue.drain()
      const fourth = connect()
      fourth.open()
      await finish(fourth)
      expect(fourth.last()).to.deep.include({ t: 'reject', code: 'STOPPING' })
    })
  })

  it('says every JOB_BEAT_MS that it is alive: in the queue with its place, loading, and while it computes without text', async () => {
    const engine = handFed()
    const { connect, pass } = setUp(engine.script)
    const running = connect()
    running.open()
    const waiting = connect()
    waiting.open()
    await settled()
    expect(waiting.frames).to.deep.equal([{ t: 'beat', state: 'queued', at: 1 }])
    await pass(JOB_BEAT_MS)
    await pass(JOB_BEAT_MS)
    expect(waiting.frames).to.have.length(3)
    expect(running.frames.filter((frame) => frame.t === 'beat')).to.have.length(2)
    engine.give({ type: 'state', state: { state: 'loading', part: 0.25 } })
    await settled()
    expect(running.last()).to.deep.equal({ t: 'beat', state: 'loading', at: 250 })
    await pass(JOB_BEAT_MS)
    expect(running.last()).to.deep.equal({ t: 'beat', state: 'loading', at: 250 })
  })

  it('does not beat while text goes out', async () => {
    const engine = handFed()
    const { connect, pass } = setUp(engine.script)
    const job = connect()
    job.open()
    await settled()
    for (let n = 1; n <= 5; n += 1) {
      engine.give({ type: 'text', text: 'x', tokens: n })
      await pass(JOB_BEAT_MS - 100)
      await pass(CHUNK_WAIT_MS_MAX)
    }
    expect(job.frames.filter((frame) => frame.t === 'beat')).to.have.length.at.most(1)
  })

  it(`signs its progress every ${PROGRESS_TOKENS} tokens or ${PROGRESS_MS} ms, and never within ${PROGRESS_MS_MIN} ms`, async () => {
    const engine = handFed()
    const { connect, pass } = setUp(engine.script)
    const job = connect()
    job.open()
    await settled()
    const notes = () => job.frames.flatMap((frame) => frame.t === 'progress' ? [openDocument('progress', progressNoteSchema, frame.note)] : [])
    const give = async (tokens: number) => {
      engine.give({ type: 'text', text: 'x', tokens })
      await pass(CHUNK_WAIT_MS_MAX)
    }
    await give(PROGRESS_TOKENS)
    await give(2 * PROGRESS_TOKENS)
    expect(notes(), 'too soon').to.have.length(0)
    await pass(PROGRESS_MS_MIN)
    await give(2 * PROGRESS_TOKENS + 1)
    expect(notes()).to.have.length(1)
    await pass(PROGRESS_MS_MIN)
    await give(3 * PROGRESS_TOKENS)
    expect(notes(), 'too few').to.have.length(1)
    await pass(PROGRESS_MS)
    await give(3 * PROGRESS_TOKENS + 1)
    expect(notes().map(({ n, completionTokens }) => [n, completionTokens])).to.deep.equal([[1, 2 * PROGRESS_TOKENS + 1], [2, 3 * PROGRESS_TOKENS + 1]])
  })

  it('ends a cancelled job with its exact usage and a half, and frees the slot', async () => {
    const engine = handFed()
    const { connect, queue, provider } = setUp(engine.script)
    const job = connect()
    job.open()
    await settled()
    engine.give({ type: 'text', text: 'abc', tokens: 3 })
    await settled()
    job.ask({ t: 'cancel' })
    await settled()
    const end = job.last() as Extract<JobTell, { t: 'end' }>
    expect(end).to.deep.include({ t: 'end', finish: 'cancelled', usage: { promptTokens: 5, completionTokens: 3 } })
    expect(openDocument('receiptHalf', receiptHalfSchema, end.half!)).to.deep.include({ finish: 'cancelled', usage: end.usage })
    expect([provider.aborted, queue.running]).to.deep.equal([true, 0])
  })

  it('refuses a job that is cancelled while it waits', async () => {
    const { connect, queue, finish } = setUp(handFed().script)
    connect().open()
    const waiting = connect()
    waiting.open()
    await settled()
    waiting.ask({ t: 'cancel' })
    await finish(waiting)
    expect(waiting.last()).to.deep.include({ t: 'reject', code: 'CANCELLED' })
    expect(queue.waiting).to.equal(0)
  })

  it('stops the engine and frees the slot when the asking side is lost', async () => {
    const { connect, provider, queue } = setUp(handFed().script)
    const job = connect()
    job.open()
    await settled()
    expect(queue.running).to.equal(1)
    job.near.abort(new TriforceError('HOST_LOST'))
    await settled()
    expect([provider.aborted, provider.ended, queue.running]).to.deep.equal([true, true, 0])
  })

  it('stops asking the engine for text that nobody reads, and still hears a cancel', async () => {
    const { connect, provider, queue, pass } = setUp(async function* (_request, signal) {
      for (let n = 1; n <= 4_000 && !signal.aborted; n += 1) yield { type: 'text', text: 'x'.repeat(1_024), tokens: n }
      yield { type: 'end', finish: signal.aborted ? 'cancelled' : 'stop', usage: { promptTokens: 0, completionTokens: 0 } }
    })
    const job = connect()
    job.openUnread()
    await pass(CHUNK_WAIT_MS_MAX)
    const taken = provider.taken
    expect(taken).to.be.within(10, 100)
    for (let n = 0; n < 30; n += 1) await pass(1_000)
    expect(provider.taken).to.equal(taken)
    // Beats go on, a few bytes a second; the text does not.
    expect(job.near.waiting.readBytes).to.be.below(100 * 1_024)
    job.ask({ t: 'cancel' })
    await settled()
    expect([provider.aborted, provider.ended, queue.running]).to.deep.equal([true, true, 0])
  })

  it('ends a job that takes longer than its ticket allows', async () => {
    const { connect, provider, pass } = setUp(handFed().script)
    const job = connect()
    job.open()
    await settled()
    await pass(JOB_MS_MAX - 1)
    expect(provider.aborted).to.equal(false)
    await pass(1)
    expect(provider.aborted).to.equal(true)
    expect(job.last().t).to.equal('end')
  })

  it('reports a failed engine with a half for what was said, and serves the next job', async () => {
    const engine = handFed()
    const { connect, executor, queue } = setUp(engine.script)
    const job = connect()
    job.open()
    await settled()
    engine.give({ type: 'text', text: 'a', tokens: 1 })
    await settled()
    engine.fail(new Error('segmentation fault in secret place'))
    await settled()
    const fail = job.last() as Extract<JobTell, { t: 'fail' }>
    expect(fail).to.deep.include({ t: 'fail', code: 'ENGINE_FAILED', usage: { promptTokens: 0, completionTokens: 1 } })
    expect(fail.detail).to.not.contain('secret')
    expect(openDocument('receiptHalf', receiptHalfSchema, fail.half!).finish).to.equal('error')
    expect(executor.counts).to.deep.equal({ served: 0, failed: 1 })
    expect(queue.running).to.equal(0)
  })

  it('fails without a half where nothing was said', async () => {
    const { connect, finish } = setUp(async function* () {
      yield* []
      throw new TriforceError('MODEL_BROKEN')
    })
    const job = connect()
    job.open()
    await finish(job)
    expect(job.last()).to.deep.include({ t: 'fail', code: 'MODEL_BROKEN' })
    expect(job.last()).to.not.have.property('half')
  })

  it('takes an engine that stops without an end for a failed one', async () => {
    const engine = handFed()
    const { connect, finish } = setUp(engine.script)
    const job = connect()
    job.open()
    engine.end()
    await finish(job)
    expect(job.last()).to.deep.include({ t: 'fail', code: 'ENGINE_FAILED' })
  })
})

describe('node/jobs/job-server', () => {
  it('breaks off a peer that opens a second job on a busy stream, and stops the first', async () => {
    const { connect, provider } = setUp(handFed().script)
    const job = connect()
    job.open()
    await settled()
    job.open()
    await settled()
    expect(job.outcome.code).to.equal('PROTOCOL_VIOLATION')
    expect(provider.aborted).to.equal(true)
  })

  it('breaks off a peer that asks for what this node does not serve, or nonsense', async () => {
    const { connect, ticketFor } = setUp(handFed().script)
    const relay = connect()
    relay.ask({ t: 'relay', authorization: ticketFor(aRequest()), request: new Uint8Array() })
    await settled()
    expect(relay.outcome.code).to.equal('PROTOCOL_VIOLATION')
    const odd = connect()
    odd.near.send(Uint8Array.of(0xff))
    await settled()
    expect(odd.outcome.code).to.equal('FRAME_MALFORMED')
  })

  it('takes a cancel that crosses the end for nothing', async () => {
    const { connect, finish } = setUp(sayWords(['a']))
    const job = connect()
    job.open()
    await finish(job)
    job.ask({ t: 'cancel' })
    await settled()
    job.frames.length = 0
    job.open()
    await finish(job)
    expect(job.last().t).to.equal('end')
  })

  it('ends with the channel, after the job has ended', async () => {
    const { connect, provider } = setUp(handFed().script)
    const job = connect()
    job.open()
    await settled()
    job.near.close()
    await settled()
    expect([job.outcome.isOver, provider.ended]).to.deep.equal([true, true])
  })
})
