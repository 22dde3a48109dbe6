/** What every error of the bridge looks like, in each dialect. */
import { expect } from 'chai'
import type { DialectName } from '../../node/bridge/dialect-of.ts'

export function expectShape(shape: DialectName, value: unknown): void {
  const body = value as { error: Record<string, unknown> } & Record<string, unknown>
  switch (shape) {
    case 'openai':
      expect(Object.keys(body)).to.deep.equal(['error'])
      expect(body.error).to.include.keys('message', 'type', 'param', 'code')
      expect(body.error['message']).to.be.a('string').and.not.equal('')
      break
    case 'anthropic':
      expect(body).to.include({ type: 'error' }).and.to.have.property('request_id').that.matches(/^req_/)
      expect(body.error).to.include.keys('type', 'message')
      break
    case 'ollama':
      expect(Object.keys(body)).to.deep.equal(['error'])
      expect(body.error).to.be.a('string').that.is.not.equal('')
      break
  }
  // Neither a stack nor a path.
  expect(JSON.stringify(value)).to.not.match(/\bat .+:\d+:\d+|node_modules|\.ts\b/)
}
