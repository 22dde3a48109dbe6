import { expect } from 'chai'
import { sourceFiles, textOf } from '../support/source-files.ts'

const LINES_MAX = 400

describe('source files', () => {
  it(`have at most ${LINES_MAX} lines`, () => {
    const long = sourceFiles().map((file) => ({ file, lines: textOf(file).split('\n').length - 1 })).filter(({ lines }) => lines > LINES_MAX)
    expect(long).to.deep.equal([])
  })

  it('are no barrels: none is called index.ts, none passes on what others export', () => {
    expect(sourceFiles().filter((file) => file.endsWith('/index.ts'))).to.deep.equal([])
    expect(sourceFiles().filter((file) => /^export\s+(?:type\s+)?(?:\*|\{[^}]*\})\s+from\s/m.test(textOf(file)))).to.deep.equal([])
  })

  it('export by name', () => {
    expect(sourceFiles().filter((file) => /^export default\b/m.test(textOf(file)))).to.deep.equal([])
  })

  it('are named in kebab-case', () => {
    expect(sourceFiles().filter((file) => !/^[a-z0-9-]+(\.test|\.suite|\.bench|\.d)?\.ts$/.test(file.split('/').at(-1)!))).to.deep.equal([])
  })

  it('start with a comment that says what they are for', () => {
    expect(sourceFiles().filter((file) => !/^(#![^\n]*\n)?\s*\/[*/]/.test(textOf(file)))).to.deep.equal([])
  })
})
