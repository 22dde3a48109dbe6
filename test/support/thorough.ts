/** `npm test` looks at a part of what is long to look at, another part each time; `npm run test:thorough` looks at all of it. */
export const isThorough = process.env['THOROUGH'] === '1'

/** How often something is done: `some` times, or `all` times. */
export const times = (some: number, all: number): number => isThorough ? all : some

/** Every place below `count`, or every `step`-th from a random first one. The first one is named where something fails. */
export function* places(count: number, step: number): Generator<number> {
  const by = isThorough ? 1 : step
  for (let at = Math.floor(Math.random() * by); at < count; at += by) yield at
}
