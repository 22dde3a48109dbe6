/** Which node a command talks to: flags, then environment, then what runs in the state folder. */
import { resolve } from 'node:path'
import { createApiClient, type ApiClient, type ApiTarget } from './api-client.ts'
import { CommandError, usageError } from './command-error.ts'
import { configDefaults } from './config.ts'
import { nodeStatePath, nodeStateSchema, readState, upStatePath, upStateSchema } from './state-files.ts'

export interface TargetFlags {
  readonly api?: string | undefined
  readonly key?: string | undefined
  readonly dir?: string | undefined
}

/** Throws a CommandError where nothing says which node. */
export async function findNode(flags: TargetFlags, env: NodeJS.ProcessEnv): Promise<ApiTarget> {
  return (await findNodes(flags, env))[0]
}

/** One node, or all hubs of the local federation where no node is named. */
export async function findNodes(flags: TargetFlags, env: NodeJS.ProcessEnv): Promise<readonly [ApiTarget, ...ApiTarget[]]> {
  const dir = localDirOf(flags, env)
  const api = flags.api ?? env['TRIFORCE_API']
  const key = flags.key ?? (env['TRIFORCE_API_KEY'] || undefined)
  const isNamed = flags.dir !== undefined || (env['TRIFORCE_DIR'] ?? '') !== ''
  const local = await runningIn(dir)
  // Who runs one node and no local federation means that node.
  const [first, ...others] = local.length > 0 || isNamed ? local : await runningIn(configDefaults.nodeDir)
  if (api !== undefined && api !== '') {
    const url = checkedUrl(api)
    // The local key is sent to the nodes it was made for, and to no other address that someone typed.
    const isLocal = first?.api === url || others.some((node) => node.api === url)
    return [{ api: url, key: key ?? (isLocal ? first?.key : undefined) }]
  }
  if (first === undefined) {
    throw new CommandError(`no node runs in ${dir}; start a federation on this machine with "triforce up", or name a node with --api URL --key KEY`)
  }
  return [{ api: first.api, key: key ?? first.key }, ...others.map((node) => ({ api: node.api, key: key ?? node.key }))]
}

/** The folder that client commands look into: `--dir`, TRIFORCE_DIR, else that of `triforce up`. */
export function localDirOf(flags: { readonly dir?: string | undefined }, env: NodeJS.ProcessEnv): string {
  return resolve(flags.dir ?? (env['TRIFORCE_DIR'] || configDefaults.localDir))
}

async function runningIn(dir: string): Promise<readonly ApiTarget[]> {
  const up = await readState(upStateSchema, upStatePath(dir))
  if (up !== undefined) return up.report.hubs.map((hub) => ({ api: hub.api, key: up.report.apiKey }))
  const node = await readState(nodeStateSchema, nodeStatePath(dir))
  return node === undefined ? [] : [{ api: node.api, key: node.apiKey }]
}

/** What people give for a node, as scheme, host and port. Throws wrong usage. */
export function checkedUrl(text: string): string {
  const withScheme = /^https?:\/\//.test(text) ? text : `http://${text}`
  if (!URL.canParse(withScheme)) {
    throw usageError('--api must be the URL of a node, such as http://127.0.0.1:8330')
  }
  // People copy the base URL of an SDK, which ends in /v1.
  return withScheme.replace(/\/+(?:v1\/*)?$/, '')
}

/** The contributors of the local federation that run; none where a node is named by its address. */
export async function localContributors(flags: TargetFlags, env: NodeJS.ProcessEnv): Promise<readonly { readonly name: string; readonly client: ApiClient }[]> {
  if (flags.api !== undefined) return []
  const up = await readState(upStateSchema, upStatePath(localDirOf(flags, env)))
  const found = await Promise.all((up?.report.contributors ?? []).map(async ({ name, dir }) => {
    const node = await readState(nodeStateSchema, nodeStatePath(dir))
    return node === undefined ? undefined : { name, client: createApiClient({ api: node.api, key: node.apiKey }) }
  }))
  return found.filter((one) => one !== undefined)
}
