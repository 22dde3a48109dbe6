/**
 * Streams whose host is killed, frozen or cut off at a random place: three hubs and a consumer in this process, contributors
 * in processes of their own, each behind a network that can be stopped and reset.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLink, type Link } from '../nemesis/proxy.ts'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { toHex } from '../../protocol/bytes.ts'
import { chat, getJson, type ChatSeen } from './chat-client.ts'
import { federationAt, testKey, type TestKey } from './federation.ts'
import { freePorts } from './free-ports.ts'
import { startNodes, type TestNodes } from './nodes.ts'
import type { ContributorArgument } from './process-contributor.ts'
import { until } from './until.ts'
import { kill, removeDir, temporaryDir } from './up.ts'

export const disturbances = ['SIGKILL', 'SIGSTOP', 'cut', 'reset'] as const
export type Disturbance = (typeof disturbances)[number]

export interface Lender {
  readonly peerId: string
  disturb(how: Disturbance): void
  /** Undoes it; resolves when all hubs list it again. */
  heal(): Promise<void>
}

export interface ContinuationWorld {
  readonly nodes: TestNodes
  readonly lenders: readonly Lender[]
  /** A consumer, which streams straight from contributors; started on the first call. */
  consumer(): Promise<RunningNode>
  stop(): Promise<void>
}

export async function startContinuationWorld({ lenders: count = 2 } = {}): Promise<ContinuationWorld> {
  // 24 requests in a row are more than the free tier allows in a minute. Hubs must not tell contributors of a way to them that goes around the links.
  const nodes = await startNodes({ tier: 'unlimited', hubPart: { p2pAnnounce: [NOWHERE] } })
  const dir = temporaryDir()
  let consumer: RunningNode | undefined
  const lenders = await Promise.all(Array.from({ length: count }, (_, index) => openLender(nodes, join(dir, `lender${index}`), `lender${index}`)))
  await offeredBy(nodes, lenders)
  return {
    nodes, lenders,
    async consumer() {
      if (consumer !== undefined) return consumer
      consumer = await nodes.start('consumer', testKey(), { mode: 'consumer', apiKey: nodes.key })
      const { api } = consumer
      await until('the consumer reached a hub', async () => (await fetch(`${api}/ready`)).status === 200, 30_000)
      return consumer
    },
    async stop() {
      for (const lender of lenders) lender.close()
      await nodes.stop()
      removeDir(dir)
    },
  }
}

/** Nobody listens there, so a dial fails at once. */
const NOWHERE = '/ip4/127.0.0.1/tcp/1'

/** Ends of links besides the hubs' numbers. */
const LENDER = -1
const DIALLER = -2

async function openLender(nodes: TestNodes, dir: string, name: string): Promise<Lender & { close(): void }> {
  mkdirSync(dir)
  const key: TestKey = testKey()
  const [ownPort] = await freePorts(1)
  // The lender dials the hubs by these links, and is dialled by the last one.
  const hubLinks = await Promise.all(nodes.made.federation.hubs.map(({ addresses }, hub) => openLink(LENDER, hub, () => portOf(addresses[0]!))))
  const front = await openLink(DIALLER, LENDER, () => ownPort)
  const links: readonly Link[] = [...hubLinks, front]
  const ends = links.map((_, index) => [LENDER, index < hubLinks.length ? index : DIALLER])
  const argument: ContributorArgument = {
    federation: federationAt(nodes.made, hubLinks.map(({ port }) => `/ip4/127.0.0.1/tcp/${port}`)), seed: toHex(key.seed),
    settings: { dir, name, mode: 'contributor', apiPort: 0, ollama: 'off', benchSource: true, p2p: [`/ip4/127.0.0.1/tcp/${ownPort}`] },
    part: { p2pAnnounce: [`/ip4/127.0.0.1/tcp/${front.port}`] },
  }
  let child = await start()
  let how: Disturbance | undefined

  async function start(): Promise<ChildProcess> {
    const started = fork(join(import.meta.dirname, 'process-contributor.ts'), [JSON.stringify(argument)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] })
    const isReady = await Promise.race([once(started, 'message').then(() => true), once(started, 'exit').then(() => false)])
    if (!isReady) throw new Error(`${name} ended before it was ready`)
    return started
  }

  return {
    peerId: key.peerId,
    disturb(which) {
      how = which
      switch (which) {
        case 'SIGKILL': case 'SIGSTOP': kill(child.pid!, which); break
        case 'cut':
          for (const [index, link] of links.entries()) for (const end of ends[index]!) link.stall(end)
          break
        case 'reset': for (const link of links) link.cut(); break
      }
    },
    async heal() {
      const was = how
      how = undefined
      if (was === 'SIGKILL') child = await start()
      if (was === 'SIGSTOP') kill(child.pid!, 'SIGCONT')
      for (const link of links) link.heal({ reset: true })
      await until('its port answers', () => answers(front.port), 30_000)
    },
    close() {
      kill(child.pid!, 'SIGKILL')
      for (const link of links) link.close()
    },
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    socket.on('connect', () => { socket.destroy(); resolve(true) })
    socket.on('error', () => resolve(false))
  })
}

function portOf(address: string): number {
  return Number(/\/tcp\/(\d+)/.exec(address)![1])
}

/** Waits until every hub lists all lenders as hosts of both models. */
export async function offeredBy({ hubs, key }: TestNodes, lenders: readonly { readonly peerId: string }[]): Promise<void> {
  for (const hub of hubs) {
    await until('the hub lists all contributors', async () => {
      const { text } = await getJson(hub.api, key, '/v1/models')
      const { data } = JSON.parse(text) as { data: { id: string; triforce?: { hosts: number } }[] }
      return ['bench-source', 'triforce-demo'].every((id) => data.some((model) => model.id === id && model.triforce?.hosts === lenders.length))
    }, 60_000)
  }
}

export interface StreamAsk {
  readonly api: string
  readonly model: string
  readonly content: string
  readonly extra?: Readonly<Record<string, unknown>>
}

/** Greedy answers of 300 tokens: of a source that counts, and of the demo model, which writes JSON for as long as it has to. */
export function wantedStreams(api: string): readonly StreamAsk[] {
  const json = (items: object, minItems: number) => ({
    max_tokens: 300, response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: { type: 'array', items, minItems } } },
  })
  return [
    { api, model: 'triforce-demo', content: 'What is a hub?', extra: json({ type: 'string', minLength: 30, maxLength: 60 }, 40) },
    { api, model: 'bench-source', content: 'tokens=300 gapMs=5 batch=2' },
    { api, model: 'triforce-demo', content: 'How do I earn credits?', extra: json({ type: 'integer' }, 400) },
  ]
}

export interface DisturbedStream {
  readonly seen: ChatSeen
  /** Longest silence after the disturbance, ms. */
  readonly gapMs: number
  readonly disturbed: boolean
}

/** Streams, and disturbs the host once `chars` of text are there. */
export async function streamAndDisturb(world: ContinuationWorld, ask: StreamAsk, chars: number, how: Disturbance): Promise<DisturbedStream> {
  return (await streamsAndDisturb(world, [ask], chars, how))[0]!
}

/** Between the beginnings of two streams, so that they are not broken at one place. */
const STAGGER_MS = 80

/** Streams all at once; the host of the first one is disturbed, with all that it serves, once `chars` of its text are there. */
export async function streamsAndDisturb(world: ContinuationWorld, asks: readonly StreamAsk[], chars: number, how: Disturbance): Promise<readonly DisturbedStream[]> {
  let lender: Lender | undefined

  async function stream(ask: StreamAsk, index: number): Promise<DisturbedStream> {
    let length = 0
    let gapMs = 0
    let host = ''
    await sleep(index * STAGGER_MS)
    let lastMs = performance.now()
    const seen = await chat({
      api: ask.api, apiKey: world.nodes.key, model: ask.model, content: ask.content, ...(ask.extra === undefined ? {} : { extra: ask.extra }),
      onHead: (headers) => { host = headers.get('x-triforce-host') ?? '' },
      onText(text) {
        const nowMs = performance.now()
        if (lender !== undefined) gapMs = Math.max(gapMs, nowMs - lastMs)
        lastMs = nowMs
        length += text.length
        if (index === 0 && lender === undefined && length >= chars) {
          lender = world.lenders.find(({ peerId }) => peerId === host)
          lender?.disturb(how)
        }
      },
    })
    if (lender !== undefined && seen.parts !== undefined) gapMs = Math.max(gapMs, performance.now() - lastMs)
    return { seen, gapMs, disturbed: seen.parts !== undefined }
  }

  const streams = await Promise.all(asks.map(stream))
  await lender?.heal()
  return streams
}

/** Waits for the receipts of all parts on every hub. */
export async function receiptsOnAllHubs({ nodes }: ContinuationWorld, seen: ChatSeen): Promise<void> {
  for (const id of [seen.receipt, ...(seen.parts ?? []).map(({ receipt }) => receipt)]) {
    for (const hub of nodes.hubs) {
      await until(`receipt ${id} is on ${hub.name}`, async () => id !== null && id !== undefined && (await getJson(hub.api, nodes.key, `/v1/receipts/${id}`)).status === 200, 20_000)
    }
  }
}
