#!/usr/bin/env node
// The command `triforce`: starts the sources in a clone, and the compiled program in the published package.
// Plain JavaScript in old syntax, since it must be able to tell an old Node what is wrong.
import { existsSync } from 'node:fs'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`TriForce needs Node 22.18 or newer, and this is ${process.versions.node}. `
    + 'Install a newer one from https://nodejs.org, or use `npm start` in a clone, which brings its own.\n')
  process.exit(1)
}
const sources = new URL('./main.ts', import.meta.url)
await import(existsSync(sources) ? sources.href : new URL('../dist/bootstrap/main.js', import.meta.url).href)
