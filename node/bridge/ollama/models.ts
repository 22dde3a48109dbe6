/**
 * Ollama's lists of models, made from what the federation offers. What a list needs and nobody knows of a model that
 * several machines hold (its size, the digest of its weights) has a value that clients can show.
 */
import { hash } from 'node:crypto'
import { TriforceError } from '../../../protocol/errors.ts'
import type { ModelCapability } from '../../../protocol/messages/capacity.ts'
import type { Gateway, ModelInfo, Principal } from '../../gateway.ts'

export function tagBody(model: ModelInfo) {
  return {
    name: model.id,
    model: model.id,
    modified_at: new Date(model.firstSeenAt).toISOString(),
    size: 0,
    // The weights' own differ with the host; clients shorten it to tell models apart.
    digest: hash('sha256', model.id, 'hex'),
    details: detailsOf(model),
    // As Ollama marks what it rents itself.
    ...(model.vendor === undefined ? {} : { remote_model: model.id, remote_host: model.vendor }),
  }
}

/** For `/api/ps`: a model stays ready for as long as its hosts announce it. */
export function runningBody(model: ModelInfo, nowMs: number) {
  const { modified_at: _, ...rest } = tagBody(model)
  return { ...rest, expires_at: new Date(nowMs + SHOWN_READY_MS).toISOString(), size_vram: 0, context_length: model.contextTokens }
}

// As long as Ollama itself keeps a model that nobody asks.
const SHOWN_READY_MS = 5 * 60_000

export function showBody(model: ModelInfo) {
  return {
    license: '',
    modelfile: `# A model of ${model.vendor ?? 'the federation'}, reached through ${model.hosts === 1 ? 'one machine' : `${model.hosts} machines`}.\nFROM ${model.id}\n`,
    parameters: '',
    template: '',
    details: detailsOf(model),
    model_info: { 'general.architecture': 'triforce', 'general.basename': model.id, 'triforce.context_length': model.contextTokens },
    capabilities: model.capabilities.flatMap((capability) => capabilityNames[capability] ?? []),
    modified_at: new Date(model.firstSeenAt).toISOString(),
  }
}

const capabilityNames: Partial<Record<ModelCapability, string>> = { chat: 'completion', tools: 'tools', vision: 'vision', reasoning: 'thinking', embedding: 'embedding' }

function detailsOf({ quantizations, vendor }: ModelInfo) {
  return { parent_model: '', format: vendor === undefined ? 'gguf' : '', family: vendor ?? '', families: null, parameter_size: '', quantization_level: quantizations[0] ?? '' }
}

export interface OllamaNames {
  /** The id that a client means: at Ollama a name without a tag is `:latest`. A name that nobody offers stays as it is. */
  resolve(principal: Principal, name: string): Promise<string>
  /** The model that a client means; throws MODEL_NOT_FOUND. */
  find(principal: Principal, name: string): Promise<ModelInfo>
}

export function createOllamaNames(gateway: Pick<Gateway, 'models'>): OllamaNames {
  async function look(principal: Principal, name: string): Promise<ModelInfo | undefined> {
    const models = await gateway.models(principal)
    const names = [name, name.endsWith(LATEST) ? name.slice(0, -LATEST.length) : name + LATEST]
    return names.flatMap((one) => models.find(({ id }) => id === one) ?? [])[0]
  }

  return {
    async resolve(principal, name) {
      // A name with a tag says all.
      if (tagOf(name) !== undefined && !name.endsWith(LATEST)) return name
      return (await look(principal, name))?.id ?? name
    },
    async find(principal, name) {
      const model = await look(principal, name)
      if (model === undefined) throw new TriforceError('MODEL_NOT_FOUND', {}, { detail: `model '${name}' not found; GET /api/tags lists what the federation offers` })
      return model
    },
  }
}

const LATEST = ':latest'

function tagOf(name: string): string | undefined {
  return name.split('/').at(-1)!.split(':')[1]
}
