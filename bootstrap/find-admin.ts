/**
 * Which hub an admin command talks to, and with which token: `--api` with the token of the local federation's hub that
 * listens there or of TRIFORCE_ADMIN_TOKEN, else the hub of a state folder, else the first hub of `triforce up`.
 */
import { createAdminClient, type AdminClient } from './admin-client.ts'
import { adminTokenPath, loadAdminToken } from './admin-token.ts'
import { CommandError, usageError } from './command-error.ts'
import { checkedUrl, localDirOf } from './find-node.ts'
import { nodeStatePath, nodeStateSchema, readState, upStatePath, upStateSchema } from './state-files.ts'

export interface AdminFlags {
  readonly api?: string | undefined
  readonly dir?: string | undefined
  readonly json?: boolean
}

export interface AdminHub {
  /** Undefined where nothing on this machine says what it is called. */
  readonly name: string | undefined
  readonly api: string
  readonly admin: AdminClient
}

interface Place {
  readonly name: string | undefined
  readonly api: string
  readonly token: () => Promise<string>
}

/** Throws a CommandError where nothing says which hub, or whose token. */
export async function findAdmin(flags: AdminFlags, env: NodeJS.ProcessEnv): Promise<AdminHub> {
  return hubAt((await places(flags, env))[0])
}

/** One hub, or all hubs of the local federation where none is named. */
export async function findAdmins(flags: AdminFlags, env: NodeJS.ProcessEnv): Promise<readonly AdminHub[]> {
  return Promise.all((await places(flags, env)).map(hubAt))
}

async function places(flags: AdminFlags, env: NodeJS.ProcessEnv): Promise<readonly [Place, ...Place[]]> {
  const dir = localDirOf(flags, env)
  const up = await readState(upStateSchema, upStatePath(dir))
  const [first, ...others] = up?.report.hubs.map(placeOf) ?? []
  if (flags.api !== undefined && flags.api !== '') {
    const api = checkedUrl(flags.api)
    const local = [first, ...others].find((place) => place?.api === api)
    if (local !== undefined) return [local]
    const token = env['TRIFORCE_ADMIN_TOKEN'] || await tokenOfNode(dir, api)
    if (token === undefined) {
      throw usageError(`no admin token for ${api}: run this on the hub's own machine with --dir, or give what stands in its admin.token in TRIFORCE_ADMIN_TOKEN`)
    }
    return [{ name: undefined, api, token: () => Promise.resolve(token) }]
  }
  if (first !== undefined) return [first, ...others]
  const node = await readState(nodeStateSchema, nodeStatePath(dir))
  if (node === undefined) throw new CommandError(`no hub runs in ${dir}; start it first, or name its state folder with --dir`)
  return [placeOf({ ...node, dir })]
}

/** APIs of the local federation's other hubs, for advice about what comes next. */
export async function otherApis(flags: AdminFlags, env: NodeJS.ProcessEnv, api: string): Promise<readonly string[]> {
  const up = await readState(upStateSchema, upStatePath(localDirOf(flags, env)))
  return up?.report.hubs.map((hub) => hub.api).filter((other) => other !== api) ?? []
}

function placeOf({ name, api, dir }: { readonly name: string; readonly api: string; readonly dir: string }): Place {
  return {
    name, api,
    token: async () => {
      const token = await loadAdminToken(dir)
      if (token === undefined) throw new CommandError(`${adminTokenPath(dir)} is missing: ${name} is no hub, or it has lost the file and makes a new one at its next start`)
      return token
    },
  }
}

async function hubAt({ name, api, token }: Place): Promise<AdminHub> {
  return { name, api, admin: createAdminClient(api, await token()) }
}

/** Of the hub that runs in this folder, where it listens at `api`. */
async function tokenOfNode(dir: string, api: string): Promise<string | undefined> {
  const node = await readState(nodeStateSchema, nodeStatePath(dir))
  return node?.api === api ? loadAdminToken(dir) : undefined
}
