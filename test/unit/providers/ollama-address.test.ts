import { expect } from 'chai'
import { ollamaAddress } from '../../../providers/ollama-http.ts'

describe('providers/ollama-http', () => {
  it('reads OLLAMA_HOST as Ollama does', () => {
    const cases: readonly (readonly [string | undefined, string])[] = [
      [undefined, 'http://127.0.0.1:11434'], ['', 'http://127.0.0.1:11434'], ['localhost', 'http://localhost:11434'],
      ['10.0.0.5:8080', 'http://10.0.0.5:8080'], [':9999', 'http://127.0.0.1:9999'], ['0.0.0.0', 'http://127.0.0.1:11434'],
      ['0.0.0.0:8080', 'http://127.0.0.1:8080'], ['http://box.local', 'http://box.local:80'], ['https://box.local/', 'https://box.local:443'],
      ['https://box.local:8443/ollama/', 'https://box.local:8443/ollama'], ['"localhost:1234"', 'http://localhost:1234'], ['::1', 'http://[::1]:11434'],
      ['[::1]:8080', 'http://[::1]:8080'], ['[::]:8080', 'http://127.0.0.1:8080'], ['http://0.0.0.0:11434', 'http://127.0.0.1:11434'],
    ]
    for (const [value, address] of cases) expect(ollamaAddress(value), value).to.equal(address)
  })

  it('refuses what is no address', () => {
    expect(() => ollamaAddress('http://a b')).to.throw().with.property('code', 'CONFIG_INVALID')
  })
})
