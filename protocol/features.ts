/**
 * What a request may ask for beyond text. A dialect declares what of it can be said, an engine and a vendor what of it they
 * can do; docs/bridge.md has the product of the two as a table, made from these declarations.
 */
export const features = [
  'stream', 'tools', 'toolChoice', 'oneToolCall', 'images', 'jsonObject', 'jsonSchema', 'reasoning', 'logprobs', 'seed', 'stop', 'topK', 'penalties', 'continueLast',
  'embeddings',
] as const
export type Feature = typeof features[number]

/**
 * `mapped`: another way leads to the same. `model`: as the model can, which its capabilities tell or its vendor refuses.
 * `no`: it cannot be said, or is refused with a clear error; never passed over.
 */
export type Support = 'yes' | 'mapped' | 'model' | 'no'
export type FeatureSupport = Readonly<Record<Feature, Support>>
