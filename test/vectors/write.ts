/** `npm run vectors`: writes docs/vectors/ledger/ anew. What stood there must not change but for a new kind of vector. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { vectorFiles } from './files.ts'

const dir = join(import.meta.dirname, '..', '..', 'docs', 'vectors', 'ledger')
mkdirSync(dir, { recursive: true })
for (const [name, text] of vectorFiles()) writeFileSync(join(dir, name), text)
process.stdout.write(`${vectorFiles().size} files in ${dir}\n`)
