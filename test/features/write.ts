/** `npm run features`: writes the table of features into docs/bridge.md. */
import { readFile, writeFile } from 'node:fs/promises'
import { withFeatureTable } from '../support/feature-table.ts'

const page = new URL('../../docs/bridge.md', import.meta.url)
await writeFile(page, withFeatureTable(await readFile(page, 'utf8')))
