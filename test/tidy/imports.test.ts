import { expect } from 'chai'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { filesUnder, importsOf, repository, sourceFiles, sourceFolders, targetOf, type ImportLine, type SourceFolder } from '../support/source-files.ts'

/** What each folder may import at run time. */
const allowed: Readonly<Record<SourceFolder, readonly SourceFolder[]>> = {
  protocol: [],
  ledger: ['protocol'],
  providers: ['protocol'],
  node: ['protocol'],
  bootstrap: ['protocol', 'ledger', 'providers', 'node'],
}

/** node/ sees these two only as types. */
const INTERFACES = ['ledger/interface.ts', 'providers/interface.ts']

const imports = sourceFiles().flatMap(importsOf)
const relative = imports.filter((line) => line.from.startsWith('.'))
const folderOf = (path: string) => path.split('/')[0] as SourceFolder
const show = (line: ImportLine) => `${line.file} imports ${line.isType ? 'type ' : ''}${line.from}`

function isAllowed(line: ImportLine): boolean {
  const [from, to] = [folderOf(line.file), folderOf(targetOf(line))]
  if (to === from || allowed[from].includes(to)) return true
  return from === 'node' && line.isType && INTERFACES.includes(targetOf(line))
}

describe('imports', () => {
  it('are found at all', () => {
    expect(relative.length).to.be.greaterThan(200)
    expect(imports.some((line) => line.isType && targetOf(line) === 'ledger/interface.ts' && folderOf(line.file) === 'node')).to.equal(true)
  })

  it('go only downwards: bootstrap → node, ledger, providers → protocol', () => {
    const outside = relative.filter((line) => sourceFolders.includes(folderOf(targetOf(line))))
    expect(outside.filter((line) => !isAllowed(line)).map(show)).to.deep.equal([])
  })

  it('stay inside the five source folders, so nothing imports test/', () => {
    // package.json and data beside the source may be read, other code may not.
    const strays = relative.filter((line) => !sourceFolders.includes(folderOf(targetOf(line))) && !targetOf(line).endsWith('.json'))
    expect(strays.map(show)).to.deep.equal([])
  })

  it('name files that exist, with their ending', () => {
    for (const line of relative) {
      expect(line.from, show(line)).to.match(/\.(ts|json)$/)
      expect(existsSync(join(repository, targetOf(line))), show(line)).to.equal(true)
    }
  })

  it('reach libp2p only in node/net', () => {
    const strays = imports.filter((line) => /^(libp2p|@libp2p\/|@multiformats\/)/.test(line.from) && !line.file.startsWith('node/net/'))
    expect(strays.map(show)).to.deep.equal([])
  })

  it('of tests reach only our source, test/support and packages', () => {
    const strays = filesUnder('test', '.ts').flatMap(importsOf)
      .filter((line) => line.from.startsWith('.'))
      .filter((line) => ![...sourceFolders, 'test'].includes(targetOf(line).split('/')[0] as SourceFolder) && !targetOf(line).endsWith('.json'))
    expect(strays.map(show)).to.deep.equal([])
  })
})
