/**
 * Cursors of lists that run from new to old: where the last page ended. Takes the time and id of its last row; gives a
 * text that a client passes on as it is, and the check of such a text.
 */
import { z } from 'zod'
import type { ListCursor } from '../../ledger/interface.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'

const CURSOR_FORM = /^(\d{1,15})\.([0-9a-f]{32})$/

export function cursorText(at: number, id: Uint8Array): string {
  return `${at}.${toHex(id)}`
}

export const cursorField = z.string().transform((text, context): ListCursor => {
  const [, at, id] = CURSOR_FORM.exec(text) ?? []
  if (at !== undefined && id !== undefined) return { at: Number(at), id: fromHex(id)! }
  context.addIssue('must be a next_cursor that this list gave')
  return z.NEVER
})
