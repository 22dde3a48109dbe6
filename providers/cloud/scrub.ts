/** A vendor's own words made fit to be shown: one line, bounded, and without anything that may be a key. */

const CHARS_MAX = 500

// A key in an error text is often cut or starred ("sk-proj-ab***xyz"). The known beginnings, and long runs of letters and
// digits together, go; words and model ids stay.
const KEY_LIKE = [
  /\b(?:sk|pk|gsk|csk|xai|tgp|tf|rk|key|api)[-_][\w*.…-]{4,}/gi,
  /\bAIza[\w*-]{6,}/g,
  /\bBearer\s+\S+/gi,
  /\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9_]{24,}\b/g,
  /\S*\*{3,}\S*/g,
]

export function scrub(text: string, secrets: readonly string[] = []): string {
  let clean = text.slice(0, 4 * CHARS_MAX)
  for (const secret of secrets) if (secret.length >= 4) clean = clean.replaceAll(secret, '[removed]')
  for (const pattern of KEY_LIKE) clean = clean.replaceAll(pattern, '[removed]')
  // oxlint-disable-next-line no-control-regex -- control characters are what is taken out
  clean = clean.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').replaceAll(/https?:\/\/\S+/g, '').trim()
  return clean.length > CHARS_MAX ? `${clean.slice(0, CHARS_MAX)}…` : clean
}
