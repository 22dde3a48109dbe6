/** Small helpers for byte strings. */

type Slice = (this: Uint8Array, start: number, end: number) => string
/** Half of the time of `toHex` is making a Buffer of the bytes. Node's own methods need none, but no page of its manual promises them. */
const { hexSlice, latin1Slice } = Buffer.prototype as { readonly hexSlice?: Slice; readonly latin1Slice?: Slice }

export function toHex(bytes: Uint8Array): string {
  return hexSlice === undefined ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex') : hexSlice.call(bytes, 0, bytes.byteLength)
}

/** One character for each byte. */
export function toLatin1(bytes: Uint8Array): string {
  return latin1Slice === undefined ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') : latin1Slice.call(bytes, 0, bytes.byteLength)
}

/** Gives undefined where the text is not lower-case hexadecimal of even length. */
export function fromHex(text: string): Uint8Array | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(text) ? new Uint8Array(Buffer.from(text, 'hex')) : undefined
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && Buffer.compare(a, b) === 0
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.byteLength
  }
  return joined
}
