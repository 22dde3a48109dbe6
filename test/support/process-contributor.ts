/** A contributor in a process of its own, to be killed and frozen: reads its settings from its argument, and tells when it runs. */
import { startNode } from '../../bootstrap/compose.ts'
import { createNodeConfig, type NodeConfig } from '../../bootstrap/config.ts'
import { identityOf } from '../../bootstrap/identity.ts'
import type { NodeSettings } from '../../bootstrap/option-table.ts'
import { createClock, createRandom } from '../../bootstrap/system.ts'
import { readFederation } from '../../protocol/federation.ts'
import { quietLog } from './quiet-log.ts'

export interface ContributorArgument {
  readonly federation: string
  /** Hexadecimal. */
  readonly seed: string
  readonly settings: NodeSettings
  readonly part: Partial<NodeConfig>
}

const { federation, seed, settings, part } = JSON.parse(process.argv[2]!) as ContributorArgument
const config = createNodeConfig(settings, { federation: readFederation(federation), identity: identityOf(new Uint8Array(Buffer.from(seed, 'hex'))), adminToken: 'tfa-test' })
await startNode({ ...config, ...part }, { clock: createClock(), random: createRandom(), log: quietLog(), addresses: () => [] })
// It must not outlive the test that started it.
process.on('disconnect', () => process.exit())
process.send?.('ready')
