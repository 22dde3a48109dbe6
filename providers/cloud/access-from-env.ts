/** Keys and base URLs of vendors from the environment, under the names that each vendor's own tools use. */
import { TriforceError } from '../../protocol/errors.ts'
import type { CloudAccess } from './clouds.ts'
import { vendors } from './vendors.ts'

/**
 * An empty variable counts as not set. A base URL without a key counts for nothing. Whoever sets the environment of a hub
 * runs it, so an address of its own network is taken as it is. Throws CONFIG_INVALID that names the variable.
 */
export function cloudAccessFromEnv(env: NodeJS.ProcessEnv): CloudAccess[] {
  return vendors.flatMap(({ id, keyEnv, baseUrlEnv }) => {
    const key = keyEnv.map((name) => env[name]?.trim()).find((value) => value !== undefined && value !== '')
    if (key === undefined) return []
    // A header cannot hold it; its text is a secret and not repeated.
    if (!/^[!-~]+$/.test(key)) throw new TriforceError('CONFIG_INVALID', {}, { detail: `${keyEnv.join(' or ')} is not a key: it has spaces or letters that a header cannot hold` })
    const text = env[baseUrlEnv]?.trim()
    if (text === undefined || text === '') return [{ vendor: id, key }]
    const url = URL.parse(text)
    if (url === null || !['http:', 'https:'].includes(url.protocol)) throw new TriforceError('CONFIG_INVALID', {}, { detail: `${baseUrlEnv} must be an address that begins with https:// or http://` })
    return [{ vendor: id, key, baseUrl: text }]
  })
}

/** Every variable that the function above reads. */
export const cloudEnvNames: readonly string[] = vendors.flatMap(({ keyEnv, baseUrlEnv }) => [...keyEnv, baseUrlEnv])
