/** The repository's own files, for tests that look at the source. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

export const repository = new URL('../..', import.meta.url).pathname

const SKIPPED = new Set(['node_modules', '.git', 'dist', 'shared'])

/** Paths from the repository's root with `/`, of all files under `folder` that end in `suffix`. */
export function filesUnder(folder: string, suffix = ''): string[] {
  const found: string[] = []
  for (const entry of readdirSync(join(repository, folder), { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue
    const path = folder === '' ? entry.name : posix.join(folder, entry.name)
    if (entry.isDirectory()) found.push(...filesUnder(path, suffix))
    else if (path.endsWith(suffix)) found.push(path)
  }
  return found.sort()
}

export function textOf(path: string): string {
  return readFileSync(join(repository, path), 'utf8')
}

export const sourceFolders = ['protocol', 'ledger', 'providers', 'node', 'bootstrap'] as const
export type SourceFolder = (typeof sourceFolders)[number]

export function sourceFiles(): string[] {
  return sourceFolders.flatMap((folder) => filesUnder(folder, '.ts'))
}

export interface ImportLine {
  readonly file: string
  /** As written. */
  readonly from: string
  /** `import type …`, which is gone at run time. */
  readonly isType: boolean
}

/** Comments are taken out first, so that an example in one is no import. Strings stay: they hold the names. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
}

export function importsOf(file: string): ImportLine[] {
  const text = withoutComments(textOf(file))
  const lines: ImportLine[] = []
  for (const match of text.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^'"`;]*?\sfrom\s+)?['"]([^'"\n]+)['"]/gm)) {
    lines.push({ file, from: match[2]!, isType: match[1] !== undefined })
  }
  for (const match of text.matchAll(/\bimport\(\s*['"]([^'"\n]+)['"]\s*\)/g)) lines.push({ file, from: match[1]!, isType: false })
  return lines
}

/** The file that a relative import means, from the repository's root. */
export function targetOf({ file, from }: ImportLine): string {
  return posix.normalize(posix.join(posix.dirname(file), from))
}

/** `@scope/name` or `name` of a bare import; undefined for relative ones and for Node's own. */
export function packageOf(from: string): string | undefined {
  if (from.startsWith('.') || from.startsWith('node:')) return undefined
  const parts = from.split('/')
  return from.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!
}
