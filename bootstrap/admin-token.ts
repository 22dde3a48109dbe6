/**
 * The admin token of one hub, in `<dir>/admin.token`: whoever can read the hub's state folder may administer the hub.
 * It is made at the hub's first start and kept.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { TriforceError } from '../protocol/errors.ts'
import { createPrivateFile, isOpenToOthers, readTextFile } from './private-file.ts'

const TOKEN_BYTES = 32
const TOKEN_FORM = /^tfa-[0-9a-f]{64}$/

export function adminTokenPath(dir: string): string {
  return join(dir, 'admin.token')
}

export async function loadOrCreateAdminToken(dir: string): Promise<string> {
  const known = await loadAdminToken(dir)
  if (known !== undefined) return known
  await createPrivateFile(adminTokenPath(dir), `tfa-${randomBytes(TOKEN_BYTES).toString('hex')}\n`)
  return (await loadAdminToken(dir))!
}

/** Gives undefined where there is no token. Throws CONFIG_INVALID where the file is open to others or damaged. */
export async function loadAdminToken(dir: string): Promise<string | undefined> {
  const path = adminTokenPath(dir)
  const token = (await readTextFile(path))?.trim()
  if (token === undefined) return undefined
  if (await isOpenToOthers(path)) throw refused(`${path} can be read by other users of this machine; close it with: chmod 600 ${path}`)
  if (!TOKEN_FORM.test(token)) throw refused(`${path} is damaged; remove it, and the hub makes a new one at its next start`)
  return token
}

function refused(detail: string): TriforceError {
  return new TriforceError('CONFIG_INVALID', {}, { detail: `the admin token ${detail}` })
}
