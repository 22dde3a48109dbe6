import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { createChildNode, type ChildNode, type ChildNodeOptions } from '../../../bootstrap/local-federation/child-node.ts'
import { logFileOf } from '../../../bootstrap/local-federation/layout.ts'
import { createClock } from '../../../bootstrap/system.ts'
import { temporaryFolders } from '../../support/process-folder.ts'
import { rejectionOf } from '../../support/process-rejection.ts'
import { until } from '../../support/until.ts'

const support = (name: string): string => fileURLToPath(new URL(`../../support/${name}`, import.meta.url))

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('bootstrap/local-federation/child-node', function () {
  this.timeout(20_000)
  const folder = temporaryFolders()
  const made: ChildNode[] = []
  const notes: string[] = []

  afterEach(async () => {
    await Promise.all(made.splice(0).map(async (child) => {
      child.kill()
      await child.stop()
    }))
    notes.length = 0
  })

  function childThat(behaviour: string, options: Partial<ChildNodeOptions> = {}): { child: ChildNode; lives: () => string[] } {
    const dir = folder()
    const livesFile = join(dir, 'lives')
    const child = createChildNode({
      clock: createClock(), env: process.env, note: (line) => { notes.push(line) }, entry: support('process-fake-node.ts'),
    }, { place: { name: 'fake', dir }, args: ['start', behaviour, livesFile], backoffMsMin: 10, ...options })
    made.push(child)
    return { child, lives: () => readFileSync(livesFile, 'utf8').trim().split('\n') }
  }

  it('is ready, describes itself and stops in order', async () => {
    const { child, lives } = childThat('obeys')
    const report = await child.start()
    expect(isAlive(report.pid)).to.equal(true)
    expect((await child.describe()).models).to.deep.equal(['life-1'])
    await child.stop()
    expect(isAlive(report.pid)).to.equal(false)
    expect(lives().at(-1)).to.equal('stopped')
    expect(notes).to.deep.equal([])
  })

  it('starts a killed node again, says so and tells the new pid', async () => {
    const { child } = childThat('obeys')
    const { pid } = await child.start()
    const back = new Promise<void>((resolve) => { child.onRestart(resolve) })
    process.kill(pid, 'SIGKILL')
    await back
    expect(child.report()?.models).to.deep.equal(['life-2'])
    expect(child.report()?.pid).not.to.equal(pid)
    expect(notes).to.deep.equal(['fake ended (SIGKILL); it is started again', `fake is back (pid ${child.report()?.pid})`])
  })

  it('tells the node\'s own words where it cannot start', async () => {
    const { child } = childThat('refuses')
    const error = await rejectionOf(child.start())
    expect(error.message).to.equal('fake could not start: the key file is sealed')
  })

  it('shows the end of the log where it dies without words', async () => {
    const { child } = childThat('mute-crash')
    const error = await rejectionOf(child.start())
    expect(error.message).to.equal(`fake could not start: exit code 3\nThe end of ${logFileOf(child.place)}:\n  a last word before the end`)
  })

  it('gives up a node that dies again and again', async () => {
    const { child, lives } = childThat('crashes-once-ready', { restartsMax: 2 })
    await child.start()
    const error = await child.failed
    expect(error.message).to.contain('fake ended 3 times within 120 s, last with exit code 7')
    expect(lives().length).to.equal(3)
  })

  it('ends a node that does not stop within its time', async () => {
    const { child } = childThat('ignores-stop', { stopMsMax: 200 })
    const { pid } = await child.start()
    await child.stop()
    expect(isAlive(pid)).to.equal(false)
    expect(notes).to.deep.equal(['fake did not stop within 0.2 s and was ended'])
  })

  it('is not started again by a stop during the pause before a restart', async () => {
    const { child, lives } = childThat('obeys', { backoffMsMin: 300 })
    const { pid } = await child.start()
    process.kill(pid, 'SIGKILL')
    await until('its end is noticed', () => notes.length === 1)
    await child.stop()
    await new Promise((resolve) => { setTimeout(resolve, 400) })
    expect(lives().length).to.equal(1)
  })

  it('leaves no orphan when its parent is killed with SIGKILL', async () => {
    const livesFile = join(folder(), 'lives')
    const parent = spawn(process.execPath, [support('process-fake-up.ts'), livesFile], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(parent.stdout, 'data') as [Buffer]
    const pid = Number(line.toString().trim())
    expect(isAlive(pid)).to.equal(true)
    parent.kill('SIGKILL')
    await until('the node ends too', () => !isAlive(pid), 10_000)
    expect(readFileSync(livesFile, 'utf8')).to.contain('stopped')
  })
})
