/**
 * Comma-separated values after RFC 4180: lines end with CRLF, fields with a comma, quote or line break stand in quotes.
 * A field that a spreadsheet would take for a formula gets an apostrophe before it.
 */

const FORMULA_START = /^[=+@\t\r]|^-(?!\d)/

export function csvLine(fields: readonly string[]): string {
  return `${fields.map(csvField).join(',')}\r\n`
}

function csvField(text: string): string {
  const safe = FORMULA_START.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
