/** Removes what an earlier build left, so that a file that is gone from the sources is gone from the package too. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'

rmSync(join(import.meta.dirname, '..', '..', 'dist'), { recursive: true, force: true })
