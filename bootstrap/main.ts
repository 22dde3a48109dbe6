#!/usr/bin/env node
// Entry of the command `triforce`. An older Node must be able to read this file to say what is missing, so it holds no
// import and no type but the ones that are erased, and loads the rest only after the check.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`triforce: Node ${process.versions.node} is too old, 22.18 or newer is needed; get it from https://nodejs.org`)
  process.exit(1)
}
// Half of a command's time would go into compiling the same files again. The folder is the user's own: in the shared
// temporary folder another user could put code there.
const { enableCompileCache } = await import('node:module')
const { homedir } = await import('node:os')
enableCompileCache(`${homedir()}/.triforce/cache`)

// What is compiled for each system may lack this one, or be of another (node_modules copied over): libsodium comes first of all.
try {
  await import('../protocol/crypto.ts')
} catch (error) {
  console.error(`triforce: libsodium does not load on ${process.platform}-${process.arch}: ${(error as Error).message.split('\n')[0]}\n`
    + 'There are builds for Linux (glibc 2.34 or newer, so not Alpine), macOS and Windows on x64 and arm64. On one of these: install again with `npm install`.')
  process.exit(1)
}
const { runMain } = await import('./run-main.ts')
await runMain(process.argv.slice(2), new URL(import.meta.url))
