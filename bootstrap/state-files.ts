/**
 * What a running node or a running local federation leaves in its state folder, so that commands in another terminal
 * find it: `node.json` from `start`, `up.json` from `up`. Both hold what only their owner may read.
 */
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { errorCode, readTextFile, writePrivateFile } from './private-file.ts'

export const nodeStateSchema = z.object({
  v: z.literal(1),
  pid: z.number().int(),
  name: z.string(),
  mode: z.string(),
  peerId: z.string(),
  api: z.string(),
  /** Key for this node's API: the account's on a consumer; absent on a hub, where each user brings one. */
  apiKey: z.string().optional(),
})
export type NodeState = z.output<typeof nodeStateSchema>

/** The line of `triforce up --json`, field by field. */
export const upReportSchema = z.object({
  ready: z.literal(true),
  apiKey: z.string(),
  model: z.string(),
  hubs: z.array(z.object({
    name: z.string(), peerId: z.string(), api: z.string(), p2p: z.string(), pid: z.number().int(), dir: z.string(),
  })),
  contributors: z.array(z.object({
    name: z.string(), peerId: z.string(), pid: z.number().int(), dir: z.string(), models: z.array(z.string()),
  })),
})
export type UpReport = z.output<typeof upReportSchema>

export const upStateSchema = z.object({ v: z.literal(1), pid: z.number().int(), report: upReportSchema })
export type UpState = z.output<typeof upStateSchema>

export const nodeStatePath = (dir: string): string => join(dir, 'node.json')
export const upStatePath = (dir: string): string => join(dir, 'up.json')

export async function writeState(path: string, state: NodeState | UpState): Promise<void> {
  await writePrivateFile(path, `${JSON.stringify(state, null, 2)}\n`)
}

/** Gives undefined where there is no file or where it is not of this form: nothing that runs wrote it. */
export async function readState<Schema extends z.ZodType>(schema: Schema, path: string): Promise<z.output<Schema> | undefined> {
  const text = await readTextFile(path)
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

export async function removeState(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}
