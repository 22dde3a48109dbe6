/**
 * One request of a download, from a place in the file on: follows redirects by hand, so that a token goes to the host it is
 * for and to no other, and so that the checksum which Hugging Face gives before it redirects is not lost.
 */
import { Agent, request } from 'undici'

/** `again`: the same request may succeed later; `startOver`: what is here is not the beginning of what the source has. */
export class DownloadError extends Error {
  readonly again: boolean
  readonly startOver: boolean

  constructor(sentence: string, options: ErrorOptions & { readonly again?: boolean; readonly startOver?: boolean } = {}) {
    super(sentence, options)
    this.again = options.again ?? false
    this.startOver = options.startOver ?? false
  }
}

export interface TransferOptions {
  readonly url: string
  readonly fromByte: number
  /** Sent as If-Range: the server starts over where its file is another one by now. */
  readonly tag: string | undefined
  /** Bearer token for the host of `url`. */
  readonly token: string | undefined
  readonly signal: AbortSignal
  readonly agent: Agent
}

export interface Transfer {
  readonly body: AsyncIterable<Uint8Array>
  /** Where the body begins; 0 where the server starts over. */
  readonly fromByte: number
  /** Bytes of the whole file; undefined where the server does not tell. */
  readonly totalBytes: number | undefined
  /** Strong ETag, for If-Range. */
  readonly tag: string | undefined
  /** SHA-256 that the source gives for the file, lower-case hexadecimal. */
  readonly sha256: string | undefined
}

const REDIRECTS_MAX = 5
const HEADERS_MS_MAX = 30_000

/** A connection on which nothing comes for so long is given up. */
export function createTransferAgent(stallMsMax: number): Agent {
  return new Agent({ connectTimeout: 15_000, headersTimeout: HEADERS_MS_MAX, bodyTimeout: stallMsMax })
}

/** Throws a DownloadError. */
export async function openTransfer(options: TransferOptions): Promise<Transfer> {
  let url = new URL(options.url)
  let sha256: string | undefined
  for (let step = 0; step <= REDIRECTS_MAX; step += 1) {
    const isFirstHost = url.origin === new URL(options.url).origin
    const response = await ask(url, options, isFirstHost)
    const { statusCode, headers, body } = response
    sha256 ??= sha256Of(textOf(headers['x-linked-etag']))
    if (statusCode >= 300 && statusCode < 400 && statusCode !== 304) {
      await body.dump()
      url = nextUrl(url, textOf(headers['location']))
      continue
    }
    if (statusCode === 200 || statusCode === 206) {
      try {
        return { body, sha256, tag: strongTag(textOf(headers['etag'])), ...rangeOf(statusCode, headers, options.fromByte) }
      } catch (error) {
        body.destroy()
        throw error
      }
    }
    await body.dump()
    throw refusal(statusCode, url.host)
  }
  throw new DownloadError('the address leads in a circle of redirects')
}

async function ask(url: URL, { fromByte, tag, token, signal, agent }: TransferOptions, isFirstHost: boolean) {
  try {
    return await request(url, {
      dispatcher: agent, signal,
      headers: {
        'user-agent': 'triforce', 'accept-encoding': 'identity',
        ...(fromByte === 0 ? {} : { range: `bytes=${fromByte}-`, ...(tag === undefined ? {} : { 'if-range': tag }) }),
        ...(token === undefined || !isFirstHost ? {} : { authorization: `Bearer ${token}` }),
      },
    })
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new DownloadError(`${url.host} cannot be reached (${(cause as NodeJS.ErrnoException).code ?? 'no connection'})`, { cause, again: true })
  }
}

function nextUrl(from: URL, location: string | undefined): URL {
  const next = location === undefined ? null : URL.parse(location, from.href)
  if (next === null) throw new DownloadError(`${from.host} redirects to nowhere`)
  if (from.protocol === 'https:' && next.protocol !== 'https:') throw new DownloadError(`${from.host} redirects to an address without https, which is refused`)
  if (next.protocol !== 'https:' && next.protocol !== 'http:') throw new DownloadError(`${from.host} redirects to ${next.protocol} which is refused`)
  return next
}

type Headers = Readonly<Record<string, string | string[] | undefined>>

function rangeOf(status: number, headers: Headers, asked: number): Pick<Transfer, 'fromByte' | 'totalBytes'> {
  if (status === 200) {
    const length = textOf(headers['content-length'])
    return { fromByte: 0, totalBytes: length === undefined ? undefined : Number(length) }
  }
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(textOf(headers['content-range']) ?? '') ?? []
  if (start === undefined || Number(start) !== asked) throw new DownloadError('the server sends another part of the file than it was asked for', { again: true })
  return { fromByte: asked, totalBytes: total === '*' || total === undefined ? undefined : Number(total) }
}

function refusal(status: number, host: string): DownloadError {
  if (status === 401 || status === 403) {
    return new DownloadError(`${host} does not give the file to everybody (HTTP ${status}); accept its licence there, then set HF_TOKEN to your access token`)
  }
  if (status === 404) return new DownloadError(`there is no such file at ${host}; check owner, repository and file name`)
  if (status === 416) return new DownloadError('the file at the source is shorter than what is here', { again: true, startOver: true })
  if (status === 429 || status >= 500) return new DownloadError(`${host} answers with HTTP ${status}; try again later`, { again: true })
  return new DownloadError(`${host} answers with HTTP ${status}`)
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header
}

/** A weak tag (W/"…") promises no equal bytes. */
function strongTag(tag: string | undefined): string | undefined {
  return tag !== undefined && /^"[^"]{1,256}"$/.test(tag) ? tag : undefined
}

function sha256Of(tag: string | undefined): string | undefined {
  return /^"?([0-9a-f]{64})"?$/i.exec(tag ?? '')?.[1]?.toLowerCase()
}
