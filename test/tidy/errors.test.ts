import { expect } from 'chai'
import { errorTable } from '../../protocol/errors.ts'
import { tableRows } from '../support/markdown-table.ts'
import { filesUnder, sourceFiles, textOf } from '../support/source-files.ts'

const rows = tableRows(textOf('docs/errors.md')).filter(([code]) => /^[A-Z][A-Z_]+$/.test(code ?? ''))

describe('docs/errors.md', () => {
  it('lists exactly the codes of protocol/errors.ts', () => {
    expect(rows.map(([code]) => code)).to.have.members(Object.keys(errorTable))
  })

  it('tells the same status, type, fault and retry', () => {
    for (const [code, status, type, blame, retry] of rows) {
      const spec = errorTable[code as keyof typeof errorTable]
      expect([status, type, blame, retry], code).to.deep.equal([String(spec.http), spec.type, spec.blame, spec.retry ? 'yes' : 'no'])
    }
  })

  it('says for each what it means and the way out', () => {
    for (const [code, , , , , meaning, wayOut] of rows) {
      expect(meaning!.length, code).to.be.greaterThan(15)
      expect(wayOut!.length, code).to.be.greaterThan(10)
    }
  })
})

describe('protocol/errors.ts', () => {
  it('has no code that nothing in the source uses', () => {
    const source = [...sourceFiles(), ...filesUnder('providers', '.ts')].filter((file) => file !== 'protocol/errors.ts').map(textOf).join('\n')
    expect(Object.keys(errorTable).filter((code) => !source.includes(`'${code}'`))).to.deep.equal([])
  })
})
