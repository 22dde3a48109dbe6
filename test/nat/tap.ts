/**
 * Loaded into a hub with `--import`: writes down every byte that the hub reads or writes on circuits, and on job
 * streams, after the encryption of its own connections is off. So it is what a curious hub could read.
 */
import { appendFileSync } from 'node:fs'
import { AbstractMessageStream } from '@libp2p/utils'

const file = process.env['TRIFORCE_TEST_TAP']

interface Bytes {
  subarray(): Uint8Array
}

function note(stream: object, data: Bytes | Uint8Array): void {
  const protocol = (stream as { readonly protocol?: unknown }).protocol
  if (file === undefined || typeof protocol !== 'string') return
  const kind = protocol.startsWith('/libp2p/circuit/relay/') ? 'circuit' : protocol.includes('/job/') ? 'job' : undefined
  if (kind !== undefined) appendFileSync(`${file}.${kind}`, data.subarray())
}

/* oxlint-disable typescript/unbound-method -- called with the stream as `this` */
const { dispatchEvent, send } = AbstractMessageStream.prototype
AbstractMessageStream.prototype.dispatchEvent = function (event: Event): boolean {
  if (event.type === 'message') note(this, (event as Event & { readonly data: Bytes }).data)
  return dispatchEvent.call(this, event)
}
AbstractMessageStream.prototype.send = function (data) {
  note(this, data)
  return send.call(this, data)
}
