import { SEED } from './seed.ts'

/** `npm test` looks at a part of what is long to look at; `npm run test:thorough` looks at all of it. */
export const isThorough = process.env['THOROUGH'] === '1'

/** How often something is done: `some` times, or `all` times. */
export const times = (some: number, all: number): number => isThorough ? all : some

/** Every place below `count`, or every `step`-th from a first one that the seed tells. */
export function* places(count: number, step: number): Generator<number> {
  const by = isThorough ? 1 : step
  for (let at = SEED % by; at < count; at += by) yield at
}
