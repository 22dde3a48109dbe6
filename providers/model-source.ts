/** Where a model comes from: `hf:owner/repo/file.gguf`, a URL of a GGUF file, or a name of Ollama's library. Pure. */
import { basename } from 'node:path'

export type ModelSource =
  | { readonly type: 'file'; readonly url: string; readonly fileName: string }
  | { readonly type: 'ollama'; readonly name: string }

export interface ModelSourceOptions {
  /** Default `https://huggingface.co`, or HF_ENDPOINT. */
  readonly huggingFace?: string | undefined
}

const HUGGING_FACE = 'https://huggingface.co'
const FILE_NAME_CHARS_MAX = 200

/** Throws a RangeError that ends "must be …". */
export function parseModelSource(text: string, options: ModelSourceOptions = {}): ModelSource {
  if (/^hf:/i.test(text)) return huggingFaceFile(text.slice(3), options.huggingFace || HUGGING_FACE)
  if (/^https?:\/\//i.test(text)) return plainUrl(text)
  if (/^[\w.-]+(?:\/[\w.-]+)*(?::[\w.-]+)?$/.test(text) && text.length <= 128) return { type: 'ollama', name: text }
  throw new RangeError('must be hf:owner/repo/file.gguf, an https URL of a GGUF file, or a name of Ollama\'s library such as llama3.2:3b')
}

/** `owner/repo/path/file.gguf`; a revision stands behind the repository: `owner/repo@v2/file.gguf`. */
function huggingFaceFile(text: string, endpoint: string): ModelSource {
  const [, owner, repo, revision = 'main', path = ''] = /^([\w.-]+)\/([\w.-]+)(?:@([\w.-]+))?\/(.+)$/.exec(text) ?? []
  const fileName = fileNameOf(path)
  if (owner === undefined || repo === undefined || fileName === undefined || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new RangeError('must be hf:owner/repo/file.gguf')
  }
  const encoded = path.split('/').map(encodeURIComponent).join('/')
  return { type: 'file', url: `${endpoint.replace(/\/+$/, '')}/${owner}/${repo}/resolve/${revision}/${encoded}`, fileName }
}

function plainUrl(text: string): ModelSource {
  const url = URL.parse(text)
  const fileName = url === null ? undefined : fileNameOf(safeDecode(url.pathname))
  if (url === null || fileName === undefined) throw new RangeError('must be the URL of a file whose name ends in .gguf')
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) throw new RangeError('must be an https URL: over http anybody on the way could change the file')
  if (url.username !== '' || url.password !== '') throw new RangeError('must be a URL without a user name or password')
  return { type: 'file', url: url.href, fileName }
}

/** Undefined where it is no GGUF file's name, or one that no disk takes. */
function fileNameOf(path: string): string | undefined {
  const name = basename(path)
  return /^[\p{L}\p{N}][\p{L}\p{N} ._+()-]*\.gguf$/iu.test(name) && name.length <= FILE_NAME_CHARS_MAX ? name : undefined
}

function safeDecode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return ''
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
