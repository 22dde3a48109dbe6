import { expect } from 'chai'
import { filesUnder, sourceFiles, textOf } from '../support/source-files.ts'

const tests = filesUnder('test', '.ts')
const docs = [...filesUnder('docs', '.md'), 'README.md']
const self = 'test/tidy/no-dev-traces.test.ts'

/** Lines of the files that match, as `file:line text`. */
function find(files: readonly string[], pattern: RegExp): string[] {
  return files.filter((file) => file !== self).flatMap((file) => textOf(file).split('\n').flatMap((line, index) => pattern.test(line) ? [`${file}:${index + 1} ${line.trim()}`] : []))
}

describe('the repository', () => {
  it('has no path of somebody\'s machine', () => {
    expect(find([...sourceFiles(), ...tests, ...docs, 'package.json', '.gitignore'], /\/home\/[a-z]+\/|\/Users\/[A-Za-z]+\/|[A-Z]:\\\\?Users|\/work\/(?:main|shared)/)).to.deep.equal([])
  })

  it('has no unfinished business in the source', () => {
    expect(find([...sourceFiles(), ...tests, ...docs], /\b(?:TODO|FIXME|XXX|HACK)\b/)).to.deep.equal([])
  })

  it('has no test that is left out or runs alone', () => {
    expect(find(tests, /\b(?:describe|it|context)\.(?:only|skip)\(|\b(?:xit|xdescribe|fit|fdescribe)\(/)).to.deep.equal([])
  })

  it('has no debugger, and no console below bootstrap/', () => {
    expect(find(sourceFiles().filter((file) => !file.startsWith('bootstrap/')), /^\s*debugger\b|\bconsole\.(?:log|error|warn|debug|info)\(/)).to.deep.equal([])
  })

  it('takes time, chance and timers from its ports in node/, ledger/ and protocol/', () => {
    const pure = sourceFiles().filter((file) => /^(?:node|ledger|protocol)\//.test(file))
    expect(find(pure, /\bDate\.now\(|\bMath\.random\(|\bnew Date\(\)|(?<![.\w])setTimeout\(|(?<![.\w])setInterval\(|\bperformance\.now\(/)).to.deep.equal([])
  })
})
