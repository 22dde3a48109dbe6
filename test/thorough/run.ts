/** `npm run test:thorough [-- FILE ...]`: the tests that `npm test` does in part, as a whole. Takes some minutes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const mocha = fileURLToPath(new URL('../../node_modules/mocha/bin/mocha.js', import.meta.url))
const files = process.argv.length > 2 ? process.argv.slice(2) : ['test/unit/ledger/**/*.test.ts', 'test/integration/ledger-*.test.ts', 'test/e2e/ledger-sigkill.test.ts', 'test/integration/bridge-fuzz.test.ts', 'test/e2e/broken-*.test.ts']
const child = spawn(process.execPath, [mocha, ...files], { stdio: 'inherit', env: { ...process.env, THOROUGH: '1' } })
const [code] = await once(child, 'exit') as [number | null]
process.exitCode = code ?? 1
