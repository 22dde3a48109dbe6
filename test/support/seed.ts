/**
 * The seed of everything random in the tests. `npm test` takes the same one each time, so that what fails has to do with what was changed;
 * `SEED=N` takes another, and `npm run test:thorough` a new one, which it prints.
 * Loaded before all tests (.mocharc.json), so that properties begin with it too.
 */
import { configureGlobal } from 'fast-check'

const given = process.env['SEED']
export const SEED = given !== undefined ? Number(given) : process.env['THOROUGH'] === '1' ? Date.now() % 2 ** 31 : 20_261_127

if (!Number.isSafeInteger(SEED)) throw new Error(`SEED must be an integer, and is ${given}`)
if (SEED !== 20_261_127) console.log(`SEED=${SEED}`)
configureGlobal({ seed: SEED })
