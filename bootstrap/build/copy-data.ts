/** The part of `npm run build` that `tsc` does not do: data files that the compiled program reads, and the entry's mode. */
import { chmodSync, cpSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const dist = join(root, 'dist')

for (const file of ['providers/demo-model/triforce-demo.gguf']) {
  mkdirSync(dirname(join(dist, file)), { recursive: true })
  cpSync(join(root, file), join(dist, file))
}
chmodSync(join(dist, 'bootstrap', 'main.js'), 0o755)
