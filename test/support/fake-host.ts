/** The network for units: connections come and go by call, and what is sent is recorded. */
import { TriforceError } from '../../protocol/errors.ts'
import type { Channel } from '../../node/net/channel.ts'

export interface FakeHost {
  connect(peer: string): void
  disconnect(peer: string): void
  subscribed(): void
  isConnected(peer: string): boolean
  wayTo(peer: string): 'direct' | undefined
  peers(): string[]
  onConnect(listener: (peer: string) => void): void
  onDisconnect(listener: (peer: string) => void): void
  onSubscriber(topic: string, listener: () => void): void
  publish(topic: string, data: Uint8Array): Promise<void>
  drop(peer: string, reason: string): void
  dial(addresses: readonly string[]): Promise<void>
  open(peer: string, protocol: string): Promise<Channel>
  readonly published: Uint8Array[]
  readonly dropped: string[]
  readonly dials: (readonly string[])[]
  /** What `dial`, `publish` and `open` do; set by the test. */
  onDial: (addresses: readonly string[]) => Promise<void>
  onPublish: () => Promise<void>
  onOpen: (peer: string) => Promise<Channel>
}

export function fakeHost(): FakeHost {
  const connected = new Set<string>()
  const connectListeners: ((peer: string) => void)[] = []
  const disconnectListeners: ((peer: string) => void)[] = []
  const subscriberListeners: (() => void)[] = []
  const host: FakeHost = {
    connect(peer) {
      connected.add(peer)
      for (const listener of connectListeners) listener(peer)
    },
    disconnect(peer) {
      connected.delete(peer)
      for (const listener of disconnectListeners) listener(peer)
    },
    subscribed() {
      for (const listener of subscriberListeners) listener()
    },
    isConnected: (peer) => connected.has(peer),
    wayTo: (peer) => connected.has(peer) ? 'direct' : undefined,
    peers: () => [...connected],
    onConnect: (listener) => void connectListeners.push(listener),
    onDisconnect: (listener) => void disconnectListeners.push(listener),
    onSubscriber: (_topic, listener) => void subscriberListeners.push(listener),
    async publish(_topic, data) {
      host.published.push(data)
      await host.onPublish()
    },
    drop(peer) {
      host.dropped.push(peer)
      host.disconnect(peer)
    },
    async dial(addresses) {
      host.dials.push(addresses)
      await host.onDial(addresses)
    },
    open: (peer) => host.onOpen(peer),
    published: [],
    dropped: [],
    dials: [],
    onDial: () => Promise.reject(new TriforceError('NO_HOST')),
    onPublish: () => Promise.resolve(),
    onOpen: () => Promise.reject(new TriforceError('NO_HOST')),
  }
  return host
}
