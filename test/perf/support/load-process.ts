/** Starts the load generator of the gateway bench and hands it one load after the other. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { GatewayLoad, LoadMeasured } from './gateway-load.ts'

export interface LoadProcess {
  run(load: GatewayLoad): Promise<LoadMeasured>
  stop(): Promise<void>
}

export async function startLoadProcess(): Promise<LoadProcess> {
  const child = fork(fileURLToPath(new URL('gateway-load.ts', import.meta.url)), [], { serialization: 'advanced' })
  const ended = once(child, 'exit')
  const broken = ended.then(([code]) => { throw new Error(`the load generator ended with ${code as number}`) })
  broken.catch(() => {})
  const said = async (): Promise<unknown> => {
    const [message] = await Promise.race([once(child, 'message'), broken]) as [unknown]
    return message
  }
  await said()
  return {
    async run(load) {
      child.send(load)
      return await said() as LoadMeasured
    },
    async stop() {
      child.disconnect()
      await ended
    },
  }
}
