/**
 * A server of one file, as the hosts of models are: with ranges, tags and redirects. It can be told to break off, to change
 * its file, and to lie about its length.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FileServerBehaviour {
  file: Buffer
  /** Undefined: none is sent. */
  tag: string | undefined
  ranges: boolean
  /** Bytes of one answer after which the connection is destroyed; undefined: all are sent. */
  breakAfter: number | undefined
  /** Sent as Content-Length in place of the truth; 'none': the length is left out. */
  length: number | 'none' | undefined
  /** Answers every request with this status. */
  status: number | undefined
  /** After so many bytes nothing more comes. */
  stallAfter: number | undefined
  /** Answers a range with bytes from somewhere else. */
  wrongRange: boolean
  /** What Hugging Face gives beside its redirect to where the bytes are. */
  linkedTag: string | undefined
  /** Where `/redirect` leads. */
  redirectTo: string
}

export interface FileServer {
  readonly url: string
  readonly behaviour: FileServerBehaviour
  /** `range` and `authorization` of each request for the file, in order. */
  readonly requests: { readonly path: string; readonly range: string | undefined; readonly authorization: string | undefined }[]
  stop(): Promise<void>
}

export async function startFileServer(file: Buffer): Promise<FileServer> {
  const behaviour: FileServerBehaviour = {
    file, tag: '"one"', ranges: true, breakAfter: undefined, length: undefined, status: undefined, stallAfter: undefined, wrongRange: false, linkedTag: undefined, redirectTo: '/file.gguf',
  }
  const requests: FileServer['requests'] = []
  const server = createServer((request, response) => answer(request, response))
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, behaviour, requests,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }

  function answer({ url: path = '', headers }: IncomingMessage, response: ServerResponse): void {
    const { tag, ranges, breakAfter, length, status, stallAfter, wrongRange, linkedTag, redirectTo } = behaviour
    requests.push({ path, range: headers.range, authorization: headers.authorization })
    if (path.includes('/redirect') || path.includes('/resolve/')) {
      response.writeHead(302, { location: redirectTo, ...(linkedTag === undefined ? {} : { 'x-linked-etag': linkedTag }) }).end()
      return
    }
    if (status !== undefined) {
      response.writeHead(status).end('no')
      return
    }
    const asked = ranges ? /^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] : undefined
    const isSame = headers['if-range'] === undefined || headers['if-range'] === tag
    const from = asked === undefined || !isSame ? 0 : Number(asked)
    if (from > 0 && from >= behaviour.file.byteLength) {
      response.writeHead(416).end()
      return
    }
    const body = behaviour.file.subarray(wrongRange ? 0 : from)
    response.writeHead(from > 0 ? 206 : 200, {
      ...(tag === undefined ? {} : { etag: tag }),
      ...(length === 'none' ? {} : { 'content-length': length ?? body.byteLength }),
      ...(from > 0 ? { 'content-range': `bytes ${wrongRange ? 0 : from}-${behaviour.file.byteLength - 1}/${behaviour.file.byteLength}` } : {}),
    })
    const end = breakAfter ?? stallAfter
    if (end === undefined || end >= body.byteLength) response.end(body)
    else response.write(body.subarray(0, end), () => { if (breakAfter !== undefined) setImmediate(() => response.socket?.destroy()) })
  }
}
