import { expect } from 'chai'
import * as limits from '../../protocol/limits.ts'
import { LEDGER_MESSAGE_BYTES_MAX } from '../../protocol/messages/ledger.ts'
import { CHECKPOINT_BYTES_MAX } from '../../protocol/messages/ledger-checkpoint.ts'
import * as ledgerFields from '../../protocol/messages/ledger-fields.ts'
import { KEYS_LISTED_MAX, MODELS_LISTED_MAX, USAGE_ROWS_MAX } from '../../protocol/messages/control.ts'
import { tableRows } from '../support/markdown-table.ts'
import { textOf } from '../support/source-files.ts'

const constants: Record<string, number> = { KEYS_LISTED_MAX, MODELS_LISTED_MAX, USAGE_ROWS_MAX, LEDGER_MESSAGE_BYTES_MAX, CHECKPOINT_BYTES_MAX }
for (const [name, value] of [...Object.entries(limits), ...Object.entries(ledgerFields)]) if (typeof value === 'number') constants[name] = value

const rows = tableRows(textOf('docs/limits.md')).filter(([name]) => /^[A-Z][A-Z_]+$/.test(name ?? ''))

describe('docs/limits.md', () => {
  it('lists each constant of protocol/limits.ts and of the messages, with its value', () => {
    const documented = Object.fromEntries(rows.map(([name, value]) => [name, Number(value!.replaceAll(/[,_ ]/g, ''))]))
    expect(documented).to.deep.equal(constants)
  })

  it('says for each why', () => {
    for (const [name, , , why] of rows) expect(why!.length, name).to.be.greaterThan(10)
  })
})

describe('protocol/limits.ts', () => {
  it('holds together: what one limit allows fits into the other', () => {
    const { FRAME_BYTES_MAX, PROMPT_CHARS_MAX, SCHEMA_BYTES_MAX, MESSAGES_MAX, STOP_CHARS_MAX, STOP_STRINGS_MAX } = limits
    // 3 bytes a character at worst, 32 bytes around each message, 4 KiB for the rest of a request and its ticket.
    expect(3 * (PROMPT_CHARS_MAX + SCHEMA_BYTES_MAX + STOP_CHARS_MAX * STOP_STRINGS_MAX) + 32 * MESSAGES_MAX + 4_096).to.be.below(FRAME_BYTES_MAX)
    expect(limits.JOB_BEAT_MS * 4).to.equal(limits.JOB_SILENCE_MS_MAX)
    expect(limits.CAPACITY_BEAT_MS * 1.2 * 2).to.be.below(limits.CAPACITY_VALID_MS)
    expect(LEDGER_MESSAGE_BYTES_MAX).to.be.below(FRAME_BYTES_MAX)
    expect(ledgerFields.LOG_STORED_FRAME_BYTES_MAX).to.be.below(ledgerFields.LOG_MESSAGE_BYTES_MAX)
  })
})
