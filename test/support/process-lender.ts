/** A machine that lends, as a process of its own: honest, or a cheat. Its order comes over IPC. */
import { readFileSync } from 'node:fs'
import { readFederation } from '../../protocol/federation.ts'
import { startLender, type LenderOrder } from './cheat-federation.ts'

process.once('message', (order: LenderOrder) => {
  startLender(order, readFederation(readFileSync(order.federationPath, 'utf8'))).then((node) => {
    process.once('SIGTERM', () => { void node.stop().finally(() => process.exit(0)) })
    process.once('disconnect', () => process.exit(1))
    process.send!('ready')
  }, (reason: unknown) => { process.send!(`failed: ${String(reason)}`) })
})
