import { expect } from 'chai'
import { createLifecycle, type LifecyclePart } from '../../../node/lifecycle.ts'
import { TriforceError } from '../../../protocol/errors.ts'
import { codeOf, watched } from '../../support/code-of.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'
import { quietLog } from '../../support/quiet-log.ts'

const { signal } = new AbortController()

function setUp(parts: (done: string[]) => readonly LifecyclePart[]) {
  const clock = fakeClock()
  const done: string[] = []
  return { clock, done, life: createLifecycle({ clock, log: quietLog() }, parts(done)) }
}

function part(done: string[], name: string, more: Partial<LifecyclePart> = {}): LifecyclePart {
  return { name, start: () => void done.push(`start ${name}`), stop: () => void done.push(`stop ${name}`), ...more }
}

describe('node/lifecycle', () => {
  it('starts in order and stops in reverse, once', async () => {
    const { life, done } = setUp((log) => [part(log, 'a'), { name: 'b' }, part(log, 'c')])
    await life.start({ signal })
    await Promise.all([life.stop({ signal }), life.stop({ signal })])
    await life.stop({ signal })
    expect(done).to.deep.equal(['start a', 'start c', 'stop c', 'stop a'])
  })

  it('stops what runs where one does not start, and tells why', async () => {
    const { life, done } = setUp((log) => [part(log, 'a'), part(log, 'b', { start: () => Promise.reject(new TriforceError('CONFIG_INVALID')) }), part(log, 'c')])
    expect(await codeOf(life.start({ signal }))).to.equal('CONFIG_INVALID')
    expect(done).to.deep.equal(['start a', 'stop b', 'stop a'])
  })

  it('does not wait longer for a part to stop than it may take', async () => {
    const { life, done, clock } = setUp((log) => [part(log, 'a'), part(log, 'hangs', { stop: () => new Promise(() => {}), stopMsMax: 1_000 })])
    await life.start({ signal })
    const stopping = watched(life.stop({ signal }))
    await settled()
    clock.advance(999)
    await settled()
    expect(stopping.state).to.equal('pending')
    clock.advance(1)
    await settled()
    expect([stopping.state, done.at(-1)]).to.deep.equal(['done', 'stop a'])
  })

  it('goes on where a part fails to stop', async () => {
    const { life, done } = setUp((log) => [part(log, 'a'), part(log, 'b', { stop: () => { throw new Error('broken') } })])
    await life.start({ signal })
    await life.stop({ signal })
    expect(done.at(-1)).to.equal('stop a')
  })

  it('skips the waiting when it is told to', async () => {
    const { life, done } = setUp((log) => [part(log, 'a'), part(log, 'hangs', { stop: () => new Promise(() => {}) })])
    await life.start({ signal })
    const hurry = new AbortController()
    const stopping = watched(life.stop({ signal: hurry.signal }))
    await settled()
    expect(stopping.state).to.equal('pending')
    hurry.abort()
    await settled()
    expect([stopping.state, done.at(-1)]).to.deep.equal(['done', 'stop a'])
  })

  it('stops everything where it is stopped in the middle of the start', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { life, done } = setUp((log) => [part(log, 'a'), part(log, 'slow', { start: () => promise }), part(log, 'c')])
    const starting = codeOf(life.start({ signal }))
    await settled()
    await life.stop({ signal })
    resolve()
    expect(await starting).to.equal('STOPPING')
    expect(done).to.deep.equal(['start a', 'stop slow', 'stop a'])
  })

  it('does not wait for a part that does not heed its signal', async () => {
    const deadline = new AbortController()
    const { life, done } = setUp((log) => [part(log, 'a'), part(log, 'hangs', { start: () => new Promise(() => {}) })])
    const starting = watched(life.start({ signal: deadline.signal }))
    await settled()
    expect(starting.state).to.equal('pending')
    deadline.abort()
    await settled()
    expect(starting.code).to.equal('STARTING')
    expect(done).to.deep.equal(['start a', 'stop hangs', 'stop a'])
  })
})
