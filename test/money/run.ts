/** `npm run test:money -- [--requests N] [--seed S]`: 2,000 requests with random endings, and whether the books are right to the µcr. */
import { parseArgs } from 'node:util'
import { runMoneyStress } from '../support/money-stress.ts'

const { values } = parseArgs({ options: { requests: { type: 'string', default: '2000' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } } })
const [requests, seed] = [Number(values.requests), Number(values.seed)]
console.log(`${requests} requests, seed ${seed}`)
const result = await runMoneyStress({ requests, seed })
console.log(result)
const isRight = result.chargedMicroCredits === result.dueMicroCredits && result.problems.length === 0 && result.surprises.length === 0
console.log(isRight ? 'every charge is a vendor\'s bill, to the µcr' : 'the books are NOT right')
process.exit(isRight ? 0 : 1)
