/** What is done to the hubs and their links: one fault at a time, or several; each says which hubs it hits, and can be undone. */
import type { NemesisWorld } from './hubs.ts'

export const faultKinds = [
  'none', 'kill one', 'kill two', 'kill all', 'kill again and again', 'pause one', 'pause two', 'cut one link', 'isolate one hub', 'cut all links',
  'one direction lost', 'one hub hears nothing', 'black hole around one hub', 'slow links', 'one slow hub', 'several at once',
] as const
export type FaultKind = typeof faultKinds[number]

export interface Fault {
  readonly kind: FaultKind
  /** Hubs that cannot be expected to serve as usual. */
  readonly hit: readonly number[]
  readonly text: string
  /** Undoes it: processes are started, links heal. Resolves when all processes have opened their ledgers. */
  heal(): Promise<void>
}

type Unit = () => number

const others = (hub: number) => [0, 1, 2].filter((other) => other !== hub)
const pairs = [[0, 1], [0, 2], [1, 2]] as const

export async function inflict(world: NemesisWorld, kind: FaultKind, unit: Unit): Promise<Fault> {
  const { hubs, linkOf } = world
  const one = Math.floor(unit() * 3)
  const reset = unit() < 0.5
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(unit() * items.length)]!
  const healLinks = () => { for (const link of world.links.values()) link.heal({ reset }) }
  const onLinks = (hit: readonly number[], text: string): Fault => ({ kind, hit, text, heal: () => Promise.resolve(healLinks()) })
  const killed = async (hit: readonly number[], text: string): Promise<Fault> => {
    await Promise.all(hit.map((hub) => hubs[hub]!.kill()))
    return { kind, hit, text, heal: async () => { await Promise.all(hit.map((hub) => hubs[hub]!.start())) } }
  }
  const paused = (hit: readonly number[], text: string): Fault => {
    for (const hub of hit) hubs[hub]!.pause()
    return { kind, hit, text, heal: () => Promise.resolve(hit.forEach((hub) => { hubs[hub]!.resume() })) }
  }

  switch (kind) {
    case 'none':
      return { kind, hit: [], text: 'nothing', heal: () => Promise.resolve() }
    case 'kill one':
      return await killed([one], `hub ${one} is killed`)
    case 'kill two':
      return await killed(others(one), `all but hub ${one} are killed`)
    case 'kill all':
      return await killed([0, 1, 2], 'all hubs are killed')
    case 'kill again and again': {
      const rounds = 2 + Math.floor(unit() * 3)
      for (let round = 1; round < rounds; round += 1) {
        await hubs[one]!.kill()
        await hubs[one]!.start()
        if (unit() < 0.5) await hubs[one]!.whenWritable()
      }
      return await killed([one], `hub ${one} is killed ${rounds} times`)
    }
    case 'pause one':
      return paused([one], `hub ${one} stands still`)
    case 'pause two':
      return paused(others(one), `all but hub ${one} stand still`)
    case 'cut one link': {
      const [a, b] = pick(pairs)
      linkOf(a, b).cut()
      return onLinks([], `hubs ${a} and ${b} are cut from each other`)
    }
    case 'isolate one hub':
      for (const other of others(one)) linkOf(one, other).cut()
      return onLinks([one], `hub ${one} is cut from both`)
    case 'cut all links':
      for (const [a, b] of pairs) linkOf(a, b).cut()
      return onLinks([0, 1, 2], 'all links are cut')
    case 'one direction lost': {
      const to = pick(others(one))
      linkOf(one, to).stall(one)
      return onLinks([], `what hub ${one} says does not reach hub ${to}`)
    }
    case 'one hub hears nothing':
      for (const other of others(one)) linkOf(one, other).stall(other)
      return onLinks([one], `hub ${one} hears nothing`)
    case 'black hole around one hub':
      for (const other of others(one)) {
        linkOf(one, other).stall(one)
        linkOf(one, other).stall(other)
      }
      return onLinks([one], `hub ${one} is in a black hole`)
    case 'slow links': {
      const delayMs = 20 + Math.floor(unit() * 280)
      for (const [a, b] of pairs) for (const from of [a, b]) linkOf(a, b).delay(from, Math.floor(delayMs * (0.5 + unit())))
      return onLinks([], `links are slow by about ${delayMs} ms`)
    }
    case 'one slow hub':
      for (const other of others(one)) linkOf(one, other).delay(one, 100 + Math.floor(unit() * 200))
      return onLinks([], `what hub ${one} says is slow`)
    case 'several at once': {
      const parts: Fault[] = []
      for (const part of [pick(['slow links', 'one direction lost', 'one slow hub'] as const), pick(['cut one link', 'isolate one hub', 'black hole around one hub'] as const),
        pick(['kill one', 'pause one', 'kill two'] as const)] as const) parts.push(await inflict(world, part, unit))
      return {
        kind, hit: [0, 1, 2], text: parts.map(({ text }) => text).join(', and '),
        heal: async () => { for (const part of parts.reverse()) await part.heal() },
      }
    }
  }
}
