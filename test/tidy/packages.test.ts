import { expect } from 'chai'
import { filesUnder, importsOf, packageOf, sourceFiles, textOf } from '../support/source-files.ts'

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const manifest = JSON.parse(textOf('package.json')) as Manifest
const dependencies = Object.keys(manifest.dependencies)
const devDependencies = Object.keys(manifest.devDependencies)

/** The one folder that may use a package; a prefix ends in `/`. zod checks input everywhere. The command line and the vendors both read SSE. */
const owners: Readonly<Record<string, string | readonly string[]>> = {
  '@ipld/dag-cbor': 'protocol', 'multiformats': 'protocol', 'sodium-native': ['protocol', 'node'],
  'level': 'ledger',
  'ollama': 'providers', 'node-llama-cpp': 'providers', 'openai': 'providers', '@anthropic-ai/sdk': 'providers', 'ipaddr.js': 'providers', 'undici': 'providers', 'systeminformation': 'providers',
  'libp2p': 'node', '@libp2p/': 'node', '@multiformats/': 'node', 'it-pipe': 'node', 'fastify': 'node', '@fastify/': 'node', 'prom-client': 'node', 'uint8-varint': 'node',
  'eventsource-parser': ['bootstrap', 'providers'], 'commander': 'bootstrap', 'cli-progress': 'bootstrap', 'pino': 'bootstrap', 'tweetnacl': 'bootstrap',
}
const EVERYWHERE = ['zod']

/** Used by the command line or by npm itself, never imported. */
const TOOLS = ['@types/chai', '@types/cli-progress', '@types/mocha', '@types/node', 'mocha', 'node', 'oxlint', 'oxlint-tsgolint', 'typescript']

function ownersOf(name: string): readonly string[] {
  return [owners[name] ?? Object.entries(owners).find(([prefix]) => prefix.endsWith('/') && name.startsWith(prefix))?.[1] ?? []].flat()
}

const uses = sourceFiles().flatMap(importsOf).flatMap((line) => {
  const name = packageOf(line.from)
  return name === undefined ? [] : [{ name, file: line.file, isType: line.isType }]
})
const testUses = filesUnder('test', '.ts').flatMap(importsOf).flatMap((line) => packageOf(line.from) ?? [])

describe('packages', () => {
  it('have one owner folder each', () => {
    const strays = uses.filter(({ name, file, isType }) => !isType && !EVERYWHERE.includes(name) && !ownersOf(name).some((owner) => file.startsWith(`${owner}/`)))
    expect(strays.map(({ name, file }) => `${file} imports ${name} of ${ownersOf(name).join(' and ') || 'nobody'}`)).to.deep.equal([])
  })

  it('are types only of packages that have an owner', () => {
    const strays = uses.filter(({ name, isType }) => isType && !EVERYWHERE.includes(name) && ownersOf(name).length === 0)
    expect(strays.map(({ name, file }) => `${file}: ${name}`)).to.deep.equal([])
  })

  it('that the source uses are listed', () => {
    // The engine is installed by the user's choice (docs/decisions/0003); tests have it in devDependencies.
    const listed = [...dependencies, 'node-llama-cpp']
    expect([...new Set(uses.map(({ name }) => name))].filter((name) => !listed.includes(name))).to.deep.equal([])
  })

  it('that are listed are used', () => {
    const used = new Set(uses.map(({ name }) => name))
    expect(dependencies.filter((name) => !used.has(name)), 'dependencies').to.deep.equal([])
    expect(devDependencies.filter((name) => !used.has(name) && !testUses.includes(name) && !TOOLS.includes(name)), 'devDependencies').to.deep.equal([])
  })

  it('that tests use are listed', () => {
    const listed = [...dependencies, ...devDependencies]
    expect([...new Set(testUses)].filter((name) => !listed.includes(name))).to.deep.equal([])
  })

  it('have exact versions, so that an install tomorrow is the install of today', () => {
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) expect(version, name).to.match(/^\d+\.\d+\.\d+$/)
  })
})
