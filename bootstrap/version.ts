/** Version of this package; package.json lies one folder up in the sources and two up in the compiled package. */
import { existsSync, readFileSync } from 'node:fs'

export const version: string = readVersion()

function readVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    const url = new URL(place, import.meta.url)
    if (existsSync(url)) return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version
  }
  return 'unknown'
}
