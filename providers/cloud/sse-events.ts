/**
 * The events of a vendor's stream, as many at once as one read brought: a step for each event would cost more than the
 * event. The stream has bounded each event before it gets here.
 */
import { createParser } from 'eventsource-parser'
import type { VendorStream } from './vendor-stream.ts'

export interface SseEvent {
  readonly name: string | undefined
  readonly data: string
}

/**
 * Reads a stream event by event and gives what `read` makes of them, once for each read of bytes that brought some; ends
 * where `read` gives undefined. Comments are left out, and so is an event without its end at the end of the stream. What
 * came before an event that cannot be read is given before its error is thrown.
 */
export async function* readEvents<Piece>(stream: VendorStream, read: (event: SseEvent) => readonly Piece[] | undefined): AsyncGenerator<readonly Piece[]> {
  let events: SseEvent[] = []
  const parser = createParser({ onEvent: ({ event, data }) => { events.push({ name: event, data }) } })
  const decoder = new TextDecoder()
  for await (const chunk of stream) {
    parser.feed(decoder.decode(chunk, { stream: true }))
    if (events.length === 0) continue
    const pieces: Piece[] = []
    const { isOver, error } = readAll(events, read, pieces)
    events = []
    if (pieces.length > 0) yield pieces
    if (error !== undefined) throw error
    if (isOver) return
  }
}

function readAll<Piece>(events: readonly SseEvent[], read: (event: SseEvent) => readonly Piece[] | undefined, pieces: Piece[]): { readonly isOver: boolean; readonly error?: Error } {
  try {
    for (const event of events) {
      const more = read(event)
      if (more === undefined) return { isOver: true }
      pieces.push(...more)
    }
    return { isOver: false }
  } catch (error) {
    return { isOver: true, error: error as Error }
  }
}

/** An error that a vendor told inside its stream, in its own form. */
export class VendorToldError extends Error {
  readonly error: unknown

  constructor(error: unknown) {
    super('the vendor told an error inside its stream')
    this.error = error
  }
}
