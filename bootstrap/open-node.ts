/** From flags and environment to a checked configuration: reads the federation file, opens the key, makes the admin token. */
import { cloudAccessFromEnv } from '../providers/cloud/access-from-env.ts'
import { loadOrCreateAdminToken } from './admin-token.ts'
import { createNodeConfig, federationPathOf, modeOf, nodeDirOf, type NodeConfig } from './config.ts'
import { readFederationFile } from './federation-file.ts'
import { inspectKeyFile, loadOrCreateIdentity } from './identity.ts'
import type { NodeSettings } from './option-table.ts'

export interface OpenNodeComponents {
  readonly env: NodeJS.ProcessEnv
  /** Asks the person at the terminal; undefined where nobody is there. */
  readonly askPassphrase?: ((question: string) => Promise<string>) | undefined
}

export async function openNodeConfig(settings: NodeSettings, components: OpenNodeComponents): Promise<NodeConfig> {
  const dir = nodeDirOf(settings)
  modeOf(settings)
  // The file first: a missing one is the usual slip, and nothing should be made on disk before it is noticed.
  const federation = await readFederationFile(federationPathOf(settings))
  const identity = await loadOrCreateIdentity(dir, { passphrase: await passphraseFor(dir, components) })
  const adminToken = settings.mode !== 'consumer' ? await loadOrCreateAdminToken(dir) : undefined
  return createNodeConfig(settings, { federation, identity, adminToken, ...(settings.mode === 'hub' ? { cloudAccess: cloudAccessFromEnv(components.env) } : {}) })
}

/** TRIFORCE_PASSPHRASE, else a question where the key is sealed and someone can answer. */
export async function passphraseFor(dir: string, { env, askPassphrase }: OpenNodeComponents): Promise<string | undefined> {
  const given = env['TRIFORCE_PASSPHRASE']
  if (given !== undefined && given !== '') return given
  if ((await inspectKeyFile(dir))?.sealed !== true || askPassphrase === undefined) return undefined
  return askPassphrase('Passphrase of the key: ')
}
