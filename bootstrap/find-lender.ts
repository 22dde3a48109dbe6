/**
 * Which machine that lends a command speaks to, and with which right: `--api` with TRIFORCE_ADMIN_TOKEN or an API key, else
 * the node of a state folder with the admin token in it, else all contributors of the local federation.
 */
import { createApiClient, type ApiClient } from './api-client.ts'
import { adminTokenPath, loadAdminToken } from './admin-token.ts'
import { CommandError, usageError } from './command-error.ts'
import { configDefaults } from './config.ts'
import { checkedUrl, localDirOf, type TargetFlags } from './find-node.ts'
import { nodeStatePath, nodeStateSchema, readState, upStatePath, upStateSchema } from './state-files.ts'

export interface FoundLender {
  readonly name: string
  readonly client: ApiClient
}

/** Throws a CommandError where none is found, or where it is a node that does not lend. */
export async function findLenders(flags: TargetFlags, env: NodeJS.ProcessEnv): Promise<readonly [FoundLender, ...FoundLender[]]> {
  const dir = localDirOf(flags, env)
  if (flags.api !== undefined && flags.api !== '') {
    const api = checkedUrl(flags.api)
    const right = flags.key ?? (env['TRIFORCE_ADMIN_TOKEN'] || env['TRIFORCE_API_KEY'] || undefined)
    if (right === undefined) throw usageError(`no right over ${api}: give --key with an API key of its account, or what stands in its admin.token in TRIFORCE_ADMIN_TOKEN`)
    return [{ name: api, client: createApiClient({ api, key: right }) }]
  }
  const up = await readState(upStateSchema, upStatePath(dir))
  const [first, ...others] = up?.report.contributors ?? []
  if (first !== undefined) return [await lenderIn(first.dir), ...await Promise.all(others.map((one) => lenderIn(one.dir)))]
  const isNamed = flags.dir !== undefined || (env['TRIFORCE_DIR'] ?? '') !== ''
  return [await lenderIn(isNamed ? dir : configDefaults.nodeDir)]
}

async function lenderIn(dir: string): Promise<FoundLender> {
  const node = await readState(nodeStateSchema, nodeStatePath(dir))
  if (node === undefined) throw new CommandError(`no node runs in ${dir}; name the state folder of the machine that lends with --dir`)
  if (node.mode !== 'contributor' && node.mode !== 'hybrid') throw new CommandError(`the node in ${dir} is a ${node.mode} and lends nothing; name the state folder of one that does with --dir`)
  const token = await loadAdminToken(dir)
  if (token === undefined) throw new CommandError(`${adminTokenPath(dir)} is missing; the node makes a new one at its next start`)
  return { name: node.name, client: createApiClient({ api: node.api, key: token }) }
}
