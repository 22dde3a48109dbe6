import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { takeDirLock, waitForDirLock, type LockResult } from '../../../bootstrap/dir-lock.ts'
import { temporaryFolders } from '../../support/process-folder.ts'

async function releaseIfHeld(result: LockResult): Promise<void> {
  if (result.held) await result.lock.release()
}

describe('bootstrap/dir-lock', () => {
  const folder = temporaryFolders()

  it('is held by one at a time and tells the pid of the holder', async () => {
    const path = join(folder(), 'up.lock')
    const first = await takeDirLock(path)
    expect(await takeDirLock(path)).to.deep.equal({ held: false, pid: process.pid })
    await releaseIfHeld(first)
    expect(existsSync(path)).to.equal(false)
    const second = await takeDirLock(path)
    expect(second.held).to.equal(true)
    await releaseIfHeld(second)
  })

  it('is held by exactly one of many that try at once, also over a lock left behind', async () => {
    const path = join(folder(), 'up.lock')
    // Nobody listens at this port with this word.
    writeFileSync(path, JSON.stringify({ v: 1, pid: process.pid, port: 9, word: '0'.repeat(32) }))
    const results = await Promise.all(Array.from({ length: 12 }, async () => takeDirLock(path)))
    expect(results.filter((result) => result.held).length).to.equal(1)
    for (const result of results) await releaseIfHeld(result)
  })

  it('is free again after its holder was killed with SIGKILL', async () => {
    const path = join(folder(), 'up.lock')
    const lock = new URL('../../../bootstrap/dir-lock.ts', import.meta.url).href
    const holder = spawn(process.execPath, ['--input-type=module', '-e', `
      const { takeDirLock } = await import(${JSON.stringify(lock)})
      console.log((await takeDirLock(process.argv[1])).held)
      setInterval(() => {}, 1000)
    `, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [answer] = await once(holder.stdout, 'data') as [Buffer]
    expect(answer.toString().trim()).to.equal('true')
    expect(await takeDirLock(path)).to.deep.equal({ held: false, pid: holder.pid })
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const result = await takeDirLock(path)
    expect(result.held).to.equal(true)
    await releaseIfHeld(result)
  })

  it('takes over a file that is no lock', async () => {
    const path = join(folder(), 'up.lock')
    writeFileSync(path, 'half a li')
    const result = await takeDirLock(path)
    expect(result.held).to.equal(true)
    await releaseIfHeld(result)
  })

  it('leaves a lock alone that another took after this one was lost', async () => {
    const path = join(folder(), 'up.lock')
    const first = await takeDirLock(path)
    const other = JSON.stringify({ v: 1, pid: 1, port: 9, word: 'f'.repeat(32) })
    writeFileSync(path, other)
    await releaseIfHeld(first)
    expect(readFileSync(path, 'utf8')).to.equal(other)
  })

  it('waits for a holder that is on its way out', async () => {
    const path = join(folder(), 'node.lock')
    const first = await takeDirLock(path)
    const waiting = waitForDirLock(path, { waitMsMax: 5_000 })
    await releaseIfHeld(first)
    const result = await waiting
    expect(result.held).to.equal(true)
    expect((await waitForDirLock(path, { waitMsMax: 0 })).held).to.equal(false)
    await releaseIfHeld(result)
  })
})
