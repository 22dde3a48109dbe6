/** Patterns of the tables: text in which `*` stands for any characters. */

/** True where the whole text fits, whatever its case. Linear: the parts between stars are looked for one after the other. */
export function matches(pattern: string, text: string): boolean {
  const lower = text.toLowerCase()
  const [first, ...rest] = pattern.split('*')
  if (rest.length === 0) return lower === first
  if (!lower.startsWith(first!)) return false
  const last = rest.pop()!
  let from = first!.length
  for (const part of rest) {
    const found = lower.indexOf(part, from)
    if (found === -1) return false
    from = found + part.length
  }
  return lower.length - last.length >= from && lower.endsWith(last)
}
