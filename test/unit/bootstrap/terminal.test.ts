import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { createLog } from '../../../bootstrap/log.ts'
import { createProgress } from '../../../bootstrap/progress.ts'
import { formatTable, TABLE_WIDTH_MAX } from '../../../bootstrap/table.ts'
import { createTerminal, cut, printable } from '../../../bootstrap/terminal.ts'
import { fakeClock } from '../../support/fake-clock.ts'
import { temporaryFolders } from '../../support/process-folder.ts'
import { keptTerminal } from '../../support/process-terminal.ts'

describe('bootstrap/progress', () => {
  it('is silent for a second and not one millisecond less', () => {
    const clock = fakeClock()
    const terminal = keptTerminal({ tty: true })
    const progress = createProgress({ terminal, clock })
    progress.waitFor('the hubs')
    clock.advance(999)
    expect(terminal.stderr()).to.equal('')
    clock.advance(1)
    expect(terminal.stderr()).to.equal('[the hubs (1 s)]')
    clock.advance(1_000)
    expect(terminal.stderr()).to.equal('[the hubs (1 s)][the hubs (2 s)]')
    progress.clear()
    clock.advance(10_000)
    expect(terminal.stderr()).to.equal('[the hubs (1 s)][the hubs (2 s)]')
  })

  it('says each thing once where there is no terminal', () => {
    const clock = fakeClock()
    const terminal = keptTerminal()
    const progress = createProgress({ terminal, clock })
    for (const what of ['the hubs', 'a model', 'the hubs', 'quick']) {
      progress.waitFor(what)
      clock.advance(what === 'quick' ? 500 : 5_000)
    }
    progress.clear()
    expect(terminal.stderr()).to.equal('the hubs\na model\n')
  })
})

describe('bootstrap/terminal', () => {
  /** Both streams on one screen of 20 columns. */
  function screen(): { terminal: ReturnType<typeof createTerminal>; shown: () => string } {
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 20 })
    let shown = ''
    stream.on('data', (chunk: Buffer) => { shown += chunk.toString() })
    return { terminal: createTerminal(stream, stream), shown: () => shown.replaceAll('\u001b', '^') }
  }

  it('takes a shown wait away before the next line', () => {
    const { terminal, shown } = screen()
    terminal.transient('waiting')
    terminal.print('done')
    expect(shown()).to.equal('^[2mwaiting^[22m\r^[2Kdone\n')
  })

  it('shows a wait behind half a line without touching it, and not where it would not fit', async () => {
    const { terminal, shown } = screen()
    await terminal.write('Hello')
    terminal.transient('wait')
    await terminal.write(' world, this')
    terminal.transient('wait')
    expect(shown()).to.equal('Hello^7 ^[2mwait^[22m^8^[K world, this')
  })

  it('cuts by letters as people see them and leaves no control characters', () => {
    expect(cut('Grüße 👨‍👩‍👧 ende', 8)).to.equal('Grüße 👨‍👩‍👧…')
    expect(printable('a\u001b]0;x\u0007b\nc')).to.equal('a ]0;x b c')
    expect(printable('a\u001b[2Jb\n\tc', { lines: true })).to.equal('a[2Jb\n\tc')
  })
})

describe('bootstrap/table', () => {
  it('aligns its columns and is never wider than its bound', () => {
    const lines = formatTable([{ title: 'MODEL', shrink: true }, { title: 'HOSTS', align: 'right' }], [['m'.repeat(200), '1'], ['short', '12']])
    expect(Math.max(...lines.map((line) => line.length))).to.equal(TABLE_WIDTH_MAX)
    expect(lines[2]).to.match(/^short {2,}12$/)
    expect(new Set(lines.map((line) => line.length)).size).to.equal(1)
  })
})

describe('bootstrap/log', () => {
  const folder = temporaryFolders()

  function logged(options: { json: boolean; level?: 'debug' | 'warn' }, use: (log: ReturnType<typeof createLog>) => void): string {
    const file = join(folder(), 'node.log')
    use(createLog({ level: options.level ?? 'debug', json: options.json, file }))
    return readFileSync(file, 'utf8')
  }

  it('writes one line for people, with the part that speaks', () => {
    const text = logged({ json: false }, (log) => log.child('jobs').child('queue').warn('queue full', { waiting: 16, peer: 'a\nb' }))
    expect(text).to.match(/^\d{4}-\d\d-\d\dT[\d:.]+Z warn {2}jobs\.queue: queue full waiting=16 peer=a b\n$/)
  })

  it('writes JSON lines', () => {
    const { time, ...rest } = JSON.parse(logged({ json: true }, (log) => log.child('jobs').info('served', { tokens: 3 }))) as Record<string, unknown>
    expect(rest).to.deep.equal({ level: 'info', part: 'jobs', tokens: 3, text: 'served' })
    expect(time).to.be.a('number')
  })

  it('keeps to its level', () => {
    expect(logged({ json: false, level: 'warn' }, (log) => {
      log.debug('a')
      log.info('b')
      log.error('c')
    })).to.match(/^\S+ error c\n$/)
  })

  it('hides keys, tokens and prompts, by their name and by their form', () => {
    for (const json of [true, false]) {
      const text = logged({ json }, (log) => log.info('x', {
        apiKey: 'one', authorization: 'two', prompt: 'three', note: `sent tf-${'A1'.repeat(22)} here`, other: `tfa-${'0'.repeat(64)}`,
      }))
      expect(text).not.to.match(/one|two|three|A1A1|0000/)
      expect(text).to.contain('sent [hidden] here')
    }
  })
})
