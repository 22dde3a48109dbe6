/**
 * After `npm install` in a clone: removes the C++ headers from the Node that npm installed (67 MB). Nothing here compiles
 * add-ons. Plain JavaScript, since it also runs on the system's Node where the development tools were left out.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

const packages = join(import.meta.dirname, '..', '..', 'node_modules', 'node', 'node_modules')
const names = await readdir(packages).catch(() => [])
await Promise.all(names.filter((name) => name.startsWith('node-')).map((name) => rm(join(packages, name, 'include'), { recursive: true, force: true })))
