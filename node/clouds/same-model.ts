/**
 * Which vendor's model is the same as one of the federation: open weights have the same family, version and size under
 * many names. `llama3.3:70b`, `llama-3.3-70b-versatile` and `meta-llama/Llama-3.3-70B-Instruct-Turbo` are one model.
 */

/** Words that name a packing or a tuning, not another model. */
const PACKING = /^(?:instruct|instant|versatile|chat|it|hf|turbo|latest|free|lite|fp\d+|bf16|f16|int\d+|awq|gptq|gguf|q\d\w*|\d{4})$/

/** Family, version and size in one text; undefined where there is no size, for then two models of a family look alike. */
export function modelKin(id: string): string | undefined {
  const name = id.toLowerCase().slice(id.lastIndexOf('/') + 1)
  const words = name.split(/[-:\s]+/).filter((word) => word !== '' && !PACKING.test(word))
  const size = words.findIndex((word) => /^\d+(?:\.\d+)?(?:x\d+(?:\.\d+)?)?b$/.test(word))
  if (size === -1) return undefined
  const family = words.slice(0, size).filter((word) => word !== 'meta').join('')
  return family === '' ? undefined : `${family}/${words[size]}${words.slice(size + 1).map((word) => `-${word}`).join('')}`
}
