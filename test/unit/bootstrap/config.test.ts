import { delimiter, resolve } from 'node:path'
import { expect } from 'chai'
import { apiKeyFromSeed } from '../../../protocol/api-key.ts'
import type { TriforceError } from '../../../protocol/errors.ts'
import { configDefaults, createNodeConfig, type NodeConfig } from '../../../bootstrap/config.ts'
import { flagKey, nodeOptionTable, readSettings, type FlagValues } from '../../../bootstrap/option-table.ts'
import { testFederation, testKey } from '../../support/federation.ts'

const local = testFederation({ addresses: ['/ip4/127.0.0.1/tcp/4330', '/dns4/hub.example.org/tcp/4331', '/ip6/2001:db8::1/tcp/4332'] })
const open = testFederation({ kind: 'public' })
const apiKey = apiKeyFromSeed(testKey().seed)

function config(flags: FlagValues, options: { env?: NodeJS.ProcessEnv; identity?: ReturnType<typeof testKey>; world?: typeof local } = {}): NodeConfig {
  const { federation } = options.world ?? local
  return createNodeConfig(readSettings(flags, options.env ?? {}), {
    federation, identity: options.identity ?? testKey(), adminToken: 'tfa-token',
  })
}

function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect((error as TriforceError).code).to.equal('CONFIG_INVALID')
    return (error as Error).message
  }
  throw new Error('was not refused')
}

describe('bootstrap/config', () => {
  it('fills in a contributor\'s defaults', () => {
    const made = config({ mode: 'contributor' })
    expect(made).to.deep.include({
      mode: 'contributor', dir: configDefaults.nodeDir, apiHost: '127.0.0.1', apiPort: 8330, p2pAddresses: ['/ip4/0.0.0.0/tcp/0'], p2pAnnounce: [],
      apiKey: undefined, adminToken: 'tfa-token', models: [], ollamaHost: 'http://127.0.0.1:11434', embedded: true, demoModel: true, slots: undefined,
      benchSource: false, logLevel: 'info', logFile: undefined, logJson: false,
    })
    expect(made.name).not.to.equal('')
  })

  it('takes a hub\'s name from the federation file, and its ports, at every address of the machine unless it is loopback', () => {
    const [first, second, third] = local.hubs.map((identity) => config({ mode: 'hub', name: 'other' }, { identity }))
    expect([first?.name, first?.p2pAddresses, first?.p2pAnnounce]).to.deep.equal(['hub1', ['/ip4/127.0.0.1/tcp/4330'], ['/ip4/127.0.0.1/tcp/4330']])
    expect(second?.p2pAddresses).to.deep.equal(['/ip4/0.0.0.0/tcp/4331'])
    expect(second?.p2pAnnounce).to.deep.equal(['/dns4/hub.example.org/tcp/4331'])
    expect(third?.p2pAddresses).to.deep.equal(['/ip6/::/tcp/4332'])
    expect(first).to.deep.include({ adminToken: 'tfa-token', embedded: false, demoModel: false, ollamaHost: undefined })
  })

  it('prefers a flag to the environment, and takes an empty variable for none', () => {
    const env = { TRIFORCE_MODE: 'consumer', TRIFORCE_API_PORT: '9000', TRIFORCE_API_KEY: apiKey, TRIFORCE_NAME: '' }
    expect(config({}, { env })).to.deep.include({ mode: 'consumer', apiPort: 9000, apiKey })
    expect(config({ mode: 'hybrid', apiPort: '0' }, { env })).to.deep.include({ mode: 'hybrid', apiPort: 0 })
  })

  it('takes lists from repeated flags and from the environment', () => {
    const models = ['/models/a.gguf', '/models/b']
    expect(config({ mode: 'contributor', model: models }).models).to.deep.equal(models.map((path) => resolve(path)))
    expect(config({ mode: 'contributor' }, { env: { TRIFORCE_MODELS: models.join(delimiter) } }).models).to.deep.equal(models.map((path) => resolve(path)))
    const p2p = ['/ip4/0.0.0.0/tcp/1', '/ip6/::/tcp/2']
    expect(config({ mode: 'contributor' }, { env: { TRIFORCE_P2P: p2p.join(',') } }).p2pAddresses).to.deep.equal(p2p)
  })

  it('reads Ollama\'s own variable in each of its forms', () => {
    for (const [text, url] of [
      ['127.0.0.1', 'http://127.0.0.1:11434'], [':9999', 'http://127.0.0.1:9999'], ['0.0.0.0:11500', 'http://127.0.0.1:11500'],
      ['http://gpu.lan', 'http://gpu.lan:11434'], ['https://ollama.example.org/', 'https://ollama.example.org'], ['off', undefined],
    ] as const) {
      expect(config({ mode: 'contributor' }, { env: { OLLAMA_HOST: text } }).ollamaHost, text).to.equal(url)
    }
    expect(config({ mode: 'contributor' }, { env: { OLLAMA_HOST: 'a', TRIFORCE_OLLAMA: 'b' } }).ollamaHost).to.equal('http://b:11434')
  })

  it('offers the demo model by default in a local federation only, and refuses it elsewhere', () => {
    expect(config({ mode: 'contributor' }, { world: open }).demoModel).to.equal(false)
    expect(config({ mode: 'contributor', embedded: 'off' }).demoModel).to.equal(false)
    expect(refusal(() => config({ mode: 'contributor', demoModel: 'on' }, { world: open }))).to.contain('--demo-model cannot be on here')
  })

  it('refuses values with the flag\'s or the variable\'s name and the form that is wanted', () => {
    for (const [flags, env, words] of [
      [{ mode: 'server' }, {}, '--mode must be one of hub, contributor, consumer, hybrid'],
      [{ apiPort: '65536' }, {}, '--api-port must be a whole number from 0 to 65535'],
      [{}, { TRIFORCE_API_PORT: 'x' }, 'TRIFORCE_API_PORT must be a whole number from 0 to 65535'],
      [{ p2p: ['127.0.0.1:1'] }, {}, '--p2p must be a multiaddr such as /ip4/203.0.113.7/tcp/4330'],
      [{ p2p: ['/ip4/1.2.3.4/tcp/70000'] }, {}, '--p2p must be a multiaddr such as /ip4/203.0.113.7/tcp/4330'],
      [{ embedded: 'maybe' }, {}, '--embedded must be on or off'],
      [{ slots: '0' }, {}, '--slots must be a whole number from 1 to 64'],
      [{ logLevel: 'loud' }, {}, '--log-level must be one of debug, info, warn, error, silent'],
      [{ ollama: 'http://' }, {}, '--ollama must be a URL such as http://127.0.0.1:11434, or off'],
      [{ name: 'a\u001b[31m' }, {}, '--name must be 1 to 64 letters, digits, spaces, dots, hyphens or underscores'],
    ] as const) {
      expect(refusal(() => readSettings(flags, env))).to.equal(words)
    }
  })

  it('refuses roles that do not fit the key', () => {
    expect(refusal(() => config({}))).to.contain('--mode is missing')
    expect(refusal(() => config({ mode: 'hub' }))).to.contain('is none of them')
    expect(refusal(() => config({ mode: 'contributor' }, { identity: local.hubs[1]! }))).to.contain('with the key of hub "hub2"')
  })

  it('wants an API key of a consumer and a hybrid, and never repeats a bad one', () => {
    expect(refusal(() => config({ mode: 'consumer' }))).to.contain('--key is missing')
    expect(refusal(() => config({ mode: 'hybrid', key: 'sk-secret' }))).to.contain('--key is not an API key').and.not.to.contain('sk-secret')
    // A contributor earns for the account of its key, and needs none where an admin has bound it.
    expect(config({ mode: 'contributor', key: apiKey }).apiKey).to.equal(apiKey)
    expect(config({ mode: 'contributor' }).apiKey).to.equal(undefined)
    expect(refusal(() => config({ mode: 'contributor', key: 'sk-secret' }))).to.contain('--key is not an API key').and.not.to.contain('sk-secret')
  })

  it('has each flag and each variable once', () => {
    const specs = Object.values(nodeOptionTable)
    expect(new Set(specs.map((spec) => flagKey(spec.flag))).size).to.equal(specs.length)
    const variables = specs.flatMap((spec) => spec.env)
    expect(new Set(variables).size).to.equal(variables.length)
  })
})
