/** A vendor that does what the test says, and keeps a log of what it would bill. */
import type { CloudSource } from '../../node/clouds/own-clouds.ts'
import type { CloudProvider, CloudRunOptions, ProviderEvent } from '../../providers/interface.ts'
import type { CompletionRequest } from '../../protocol/completion.ts'

export type CloudScript = (request: CompletionRequest, options: CloudRunOptions) => AsyncIterable<ProviderEvent>

export interface ScriptedCloud extends CloudProvider {
  readonly requests: CompletionRequest[]
  /** Own keys that came with them. */
  readonly ownKeys: (string | undefined)[]
  script: CloudScript
  /** Has these models from now on. */
  offer(ids: readonly string[]): void
}

export function scriptedCloud(vendor: string, ids: readonly string[], script: CloudScript = sayOnce): ScriptedCloud {
  const listeners = new Set<() => void>()
  let models = ids
  const requests: CompletionRequest[] = []
  const ownKeys: (string | undefined)[] = []
  const cloud: ScriptedCloud = {
    vendor, requests, ownKeys, script, billsAborted: false, keepsPrompts: false,
    models: () => models.map((id) => ({ id, name: id, contextTokens: 128_000, outputTokensMax: 4_096, capabilities: ['chat', 'json', 'tools'] as const })),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    health: () => ({ ok: true, text: 'scripted' }),
    run(request, options) {
      requests.push(request)
      ownKeys.push(options.ownKey)
      return cloud.script(request, options)
    },
    offer(next) {
      models = next
      for (const listener of listeners) listener()
    },
    close: () => Promise.resolve(),
  }
  return cloud
}

async function* sayOnce(): AsyncIterable<ProviderEvent> {
  yield { type: 'text', text: 'Hello', tokens: 1 }
  yield { type: 'end', finish: 'stop', usage: { promptTokens: 9, completionTokens: 1 } }
}

export function cloudSource(clouds: readonly ScriptedCloud[]): CloudSource {
  return {
    keyed: () => clouds,
    onChange(listener) {
      const stops = clouds.map((cloud) => cloud.onChange(listener))
      return () => stops.forEach((stop) => stop())
    },
  }
}
