/** Names and places of a local federation. */
import { join } from 'node:path'

export interface NodePlace {
  readonly name: string
  readonly dir: string
}

export interface LocalLayout {
  readonly dir: string
  readonly federationFile: string
  /** API keys of the accounts `local` and `lender`. */
  readonly accountsFile: string
  readonly lockFile: string
  readonly hubs: readonly NodePlace[]
  readonly contributors: readonly NodePlace[]
}

const HUB_NAMES = ['hub-1', 'hub-2', 'hub-3'] as const

export function localLayout(dir: string, contributors: number): LocalLayout {
  const place = (name: string): NodePlace => ({ name, dir: join(dir, name) })
  return {
    dir,
    federationFile: join(dir, 'federation.json'),
    accountsFile: join(dir, 'accounts.json'),
    lockFile: join(dir, 'up.lock'),
    hubs: HUB_NAMES.map(place),
    contributors: Array.from({ length: contributors }, (_, index) => place(`contributor-${index + 1}`)),
  }
}

export function logFileOf(place: NodePlace): string {
  return join(place.dir, 'node.log')
}
