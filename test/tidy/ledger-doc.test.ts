import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { entrySchema } from '../../ledger/entries/entry.ts'
import { plantedBugs } from '../../ledger/planted-bugs.ts'
import { repository, textOf } from '../support/source-files.ts'

const page = textOf('docs/ledger.md')

/** Text between this heading and the next one of its level or above. */
function sectionOf(heading: string): string {
  const from = page.indexOf(`\n${heading}\n`)
  expect(from, heading).to.be.greaterThan(-1)
  const level = heading.indexOf(' ')
  const rest = page.slice(from + heading.length + 2)
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'))
  return end < 0 ? rest : rest.slice(0, end)
}

const rowsOf = (text: string) => text.split('\n').filter((line) => line.startsWith('| ')).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))

/** The names of proofs in a cell: `(C2, N6)`. */
const proofsIn = (cell: string) => [...cell.matchAll(/\(((?:[A-Z]\d+(?:, )?)+)\)/g)].flatMap(([, names]) => names!.split(', '))

describe('docs/ledger.md', () => {
  it('has a section for every kind of entry, which names all its fields', () => {
    for (const { shape } of entrySchema.options) {
      const section = sectionOf(`#### \`${shape.k.value}\``)
      const fields = Object.keys(shape).filter((field) => field !== 'k' && field !== 'eid')
      expect(fields.filter((field) => !section.includes(`\`${field}\``)), shape.k.value).to.deep.equal([])
      for (const part of ['Fields', 'Natural key', 'Guarantees', 'For ever']) expect(section, `${shape.k.value}: ${part}`).to.include(`**${part}:**`)
    }
  })

  it('names a test that exists for every cell of "What works when"', () => {
    const rows = rowsOf(sectionOf('## What works when'))
    const proofs = new Map(rows.filter(([name, file]) => /^[A-Z]\d+$/.test(name!) && file!.startsWith('`test/')).map(([name, file, title]) => [name!, { file: file!.replaceAll('`', ''), title: title! }]))
    const situations = rows.slice(2, rows.findIndex(([first]) => first === 'B1')).filter((row) => row.length === 5)
    expect(situations.length).to.be.greaterThan(10)
    const used = new Set<string>()
    for (const [situation, ...cells] of situations) {
      for (const cell of cells.filter((text) => text !== '')) {
        expect(proofsIn(cell), `${situation}: ${cell}`).not.to.deep.equal([])
        for (const name of proofsIn(cell)) used.add(name)
      }
    }
    for (const name of proofsIn(sectionOf('## What works when').replaceAll(/^\|.*$/gm, ''))) used.add(name)
    expect([...used].filter((name) => !proofs.has(name)), 'proofs that are not listed').to.deep.equal([])
    for (const [name, { file, title }] of proofs) {
      expect(existsSync(join(repository, file)), `${name}: ${file}`).to.equal(true)
      expect(textOf(file).replaceAll("\\'", "'"), `${name}: ${file}`).to.include(title)
    }
  })

  it('says of every planted bug which seed finds it', () => {
    const found = new Map(rowsOf(page).map(([name, , seed]) => [name, seed]))
    expect(plantedBugs.filter((bug) => !/^\d+$/.test(found.get(`\`${bug}\``) ?? ''))).to.deep.equal([])
  })
})
