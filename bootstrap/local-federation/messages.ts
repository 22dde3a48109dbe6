/** What `up` and the nodes it started say to each other over Node's IPC channel. */
import { z } from 'zod'
import { nodeModeSchema } from '../../protocol/messages/capacity.ts'
import type { RunningNode } from '../running-node.ts'

const nodeReportSchema = z.object({
  name: z.string(),
  mode: nodeModeSchema,
  peerId: z.string(),
  api: z.string(),
  p2p: z.array(z.string()),
  pid: z.number().int(),
  models: z.array(z.string()),
})
export type NodeReport = z.output<typeof nodeReportSchema>

/** From a node: `ready` once it runs and again whenever it is asked to `describe` itself; `failed` before it ends badly. */
export const childMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), node: nodeReportSchema }),
  z.object({ type: z.literal('failed'), sentence: z.string(), reason: z.string().optional() }),
])
export type ChildMessage = z.output<typeof childMessageSchema>

/** To a node. A closed channel means `stop` too: a node never outlives the `up` that started it. */
export const parentMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('describe') }),
  z.object({ type: z.literal('stop') }),
])
export type ParentMessage = z.output<typeof parentMessageSchema>

export function reportOf(node: RunningNode): NodeReport {
  return {
    name: node.name, mode: node.mode, peerId: node.peerId, api: node.api, p2p: [...node.p2p], pid: node.pid, models: [...node.models()],
  }
}
