import { expect } from 'chai'
import { plantedBugs } from '../../ledger/planted-bugs.ts'
import { sourceFiles, textOf } from '../support/source-files.ts'

const FILE = 'ledger/planted-bugs.ts'
const texts = sourceFiles().filter((file) => file !== FILE).map((file) => ({ file, text: textOf(file) }))

describe('planted bugs', () => {
  it('are switched on by tests only', () => {
    const planting = texts.filter(({ text }) => /\bplant\s*\(|\bplant\b[^}]*\}\s*from\s+'[^']*planted-bugs\.ts'/.test(text)).map(({ file }) => file)
    expect(planting).to.deep.equal([])
  })

  it('have each a place in the code', () => {
    expect(plantedBugs.filter((bug) => !texts.some(({ text }) => text.includes(`'${bug}'`)))).to.deep.equal([])
  })
})
