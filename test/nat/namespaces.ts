/**
 * A small internet in network namespaces of this machine: a bridge as the backbone, machines on it, and home routers
 * with real NAT (nft masquerade) and a rate (tc tbf) behind which other machines have private addresses.
 * Nothing of it can be reached from outside, and the machine's own network is not touched.
 */
import { execFile } from 'node:child_process'
import { accessSync } from 'node:fs'
import { promisify } from 'node:util'

const exec = promisify(execFile)

async function run(command: string, ...args: readonly string[]): Promise<string> {
  return (await exec(command, args, { timeout: 20_000 })).stdout
}

/** Why this machine cannot do it; undefined where it can. */
export async function problemWithNamespaces(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid?.() !== 0) return 'only root may make network namespaces; run it as root'
  const missing = ['ip', 'tc', 'nft'].filter((tool) => !['/usr/sbin/', '/sbin/', '/usr/bin/'].some((dir) => exists(dir + tool)))
  if (missing.length > 0) return `${missing.join(', ')} is missing; install iproute2 and nftables`
  const name = `tfprobe${process.pid}`
  try {
    await run('ip', 'netns', 'add', name)
    await run('ip', '-n', name, 'link', 'add', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1')
    await run('ip', '-n', name, 'link', 'add', 'probe2', 'type', 'bridge')
    await run('ip', 'netns', 'exec', name, 'tc', 'qdisc', 'add', 'dev', 'probe0', 'root', 'tbf', 'rate', '100mbit', 'burst', '64kb', 'latency', '50ms')
    await run('ip', 'netns', 'exec', name, 'nft', masquerade('probe0'))
    return undefined
  } catch (error) {
    return `the kernel does not let it: ${String((error as { stderr?: string }).stderr ?? error).trim()}`
  } finally {
    await run('ip', 'netns', 'del', name).catch(() => {})
  }
}

function exists(path: string): boolean {
  try {
    accessSync(path)
    return true
  } catch {
    return false
  }
}

/** What a home router does: rewrites what goes out, lets in only answers. */
function masquerade(wan: string): string {
  return [
    'table ip home {',
    '  chain forwarded { type nat hook prerouting priority dstnat; }',
    `  chain out { type nat hook postrouting priority srcnat; oifname "${wan}" masquerade; }`,
    `  chain pass { type filter hook forward priority filter; policy accept; iifname "${wan}" ct status dnat accept; iifname "${wan}" ct state new drop; }`,
    '}',
  ].join('\n')
}

export interface Internet {
  /** Name of the namespace, for `ip netns exec`. */
  readonly nameOf: (machine: string) => string
  /** A machine on the backbone, with one or more addresses of it. */
  machine(name: string, ...addresses: readonly string[]): Promise<void>
  /** A router with this address on the backbone and 192.168.1.1 inside. */
  router(name: string, address: string): Promise<void>
  /** A machine behind a router. */
  behind(router: string, name: string, address: string): Promise<void>
  /** The machine gets another private address, and the old one is gone. */
  changeAddress(name: string, from: string, to: string): Promise<void>
  /** The router gets another address on the backbone: it forgets all that it translated. */
  changeRouter(name: string, from: string, to: string): Promise<void>
  /** A port of the router's outer address leads to a machine behind it. */
  forward(router: string, outerPort: number, address: string, port: number): Promise<void>
  remove(): Promise<void>
}

const GATEWAY = '192.168.1.1'

export async function createInternet(): Promise<Internet> {
  const prefix = `tf${process.pid}`
  const nameOf = (machine: string) => `${prefix}${machine}`
  const made: string[] = []
  let links = 0

  async function namespace(machine: string): Promise<string> {
    const name = nameOf(machine)
    await run('ip', 'netns', 'add', name)
    made.push(name)
    await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
    return name
  }

  /** A cable from `inner` (its end is called `eth`) to a bridge in `outer`. */
  async function cable(inner: string, eth: string, outer: string, bridge: string): Promise<void> {
    const end = `p${links++}`
    await run('ip', 'link', 'add', eth, 'netns', inner, 'type', 'veth', 'peer', 'name', end, 'netns', outer)
    await run('ip', '-n', outer, 'link', 'set', end, 'master', bridge, 'up')
    await run('ip', '-n', inner, 'link', 'set', eth, 'up')
  }

  async function bridge(name: string, link: string): Promise<void> {
    await run('ip', '-n', name, 'link', 'add', link, 'type', 'bridge')
    await run('ip', '-n', name, 'link', 'set', link, 'up')
  }

  async function shape(name: string, device: string): Promise<void> {
    await run('ip', 'netns', 'exec', name, 'tc', 'qdisc', 'add', 'dev', device, 'root', 'tbf', 'rate', '100mbit', 'burst', '64kb', 'latency', '50ms')
  }

  const core = await namespace('core')
  await bridge(core, 'backbone')

  return {
    nameOf,
    async machine(machine, ...addresses) {
      const name = await namespace(machine)
      await cable(name, 'wan', core, 'backbone')
      for (const address of addresses) await run('ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', 'wan')
    },
    async router(machine, address) {
      const name = await namespace(machine)
      await cable(name, 'wan', core, 'backbone')
      await run('ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', 'wan')
      await bridge(name, 'lan')
      await run('ip', '-n', name, 'addr', 'add', `${GATEWAY}/24`, 'dev', 'lan')
      await run('ip', 'netns', 'exec', name, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
      await run('ip', 'netns', 'exec', name, 'nft', masquerade('wan'))
      await shape(name, 'wan')
      await shape(name, 'lan')
    },
    async behind(router, machine, address) {
      const name = await namespace(machine)
      await cable(name, 'eth', nameOf(router), 'lan')
      await run('ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth')
      await run('ip', '-n', name, 'route', 'add', 'default', 'via', GATEWAY)
    },
    async changeAddress(machine, from, to) {
      const name = nameOf(machine)
      await run('ip', '-n', name, 'addr', 'del', `${from}/24`, 'dev', 'eth')
      await run('ip', '-n', name, 'addr', 'add', `${to}/24`, 'dev', 'eth')
      await run('ip', '-n', name, 'route', 'replace', 'default', 'via', GATEWAY)
    },
    async changeRouter(machine, from, to) {
      const name = nameOf(machine)
      await run('ip', '-n', name, 'addr', 'add', `${to}/24`, 'dev', 'wan')
      await run('ip', '-n', name, 'addr', 'del', `${from}/24`, 'dev', 'wan')
      // Deleting the first address of a network may take the others of it along.
      await run('ip', '-n', name, 'addr', 'replace', `${to}/24`, 'dev', 'wan')
    },
    async forward(router, outerPort, address, port) {
      await run('ip', 'netns', 'exec', nameOf(router), 'nft', 'add', 'rule', 'ip', 'home', 'forwarded', 'iifname', 'wan', 'tcp', 'dport', String(outerPort), 'dnat', 'to', `${address}:${port}`)
    },
    async remove() {
      for (const name of made.toReversed()) await run('ip', 'netns', 'del', name).catch(() => {})
    },
  }
}
