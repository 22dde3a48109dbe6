import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { flagName, nodeOptionTable } from '../../../bootstrap/option-table.ts'

describe('docs/operating.md', () => {
  const text = readFileSync(new URL('../../../docs/operating.md', import.meta.url), 'utf8')
  const rows = text.split('\n').filter((line) => /^\| `--[a-z0-9-]+` \|/.test(line))

  it('lists each setting with its variables, and none that is gone', () => {
    const shown = Object.values(nodeOptionTable).filter((spec) => !('hidden' in spec && spec.hidden))
    expect(rows.map((row) => /`(--[a-z0-9-]+)`/.exec(row)?.[1])).to.deep.equal(shown.map((spec) => flagName(spec.flag)))
    for (const [index, spec] of shown.entries()) {
      for (const variable of spec.env) expect(rows[index]).to.contain(`\`${variable}\``)
    }
  })
})
