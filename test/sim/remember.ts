/** Loaded first (`node --import`): modules that ask for protocol/codec.ts get remembering-codec.ts. */
import { registerHooks } from 'node:module'

const codec = new URL('../../protocol/codec.ts', import.meta.url).href
const remembering = new URL('remembering-codec.ts', import.meta.url).href

registerHooks({
  resolve: (specifier, context, next) => {
    const resolved = next(specifier, context)
    return resolved.url === codec ? { ...resolved, url: remembering } : resolved
  },
})
