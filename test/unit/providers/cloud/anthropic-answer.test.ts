import { expect } from 'chai'
import { createAnthropicAnswer } from '../../../../providers/cloud/anthropic-answer.ts'

const block = (text: string) => ({ type: 'content_block_start', index: 0, content_block: { type: 'text', text } })
const delta = (text: string) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })

/** The text of an answer to a prefill that ended with `trimmed`, in these pieces. */
function textOf(trimmed: string, ...pieces: readonly string[]): string {
  const answer = createAnthropicAnswer({ jsonTool: undefined, trimmed })
  return [block(''), ...pieces.map(delta)].flatMap((event) => answer.read(event)).map((piece) => piece.type === 'text' ? piece.text : '').join('')
}

describe('providers/cloud/anthropic-answer', () => {
  it('leaves out the blanks at a seam where the vendor writes them again, however it cuts them', () => {
    expect(textOf('\n\n', '\n\nNext')).to.equal('Next')
    expect(textOf('\n\n', '\n', '\n', 'Next\n\n', '\n')).to.equal('Next\n\n\n')
    expect(textOf('\n\n', '\nNext')).to.equal('Next')
    expect(textOf(' ', 'word')).to.equal('word')
  })

  it('leaves everything else as it is', () => {
    expect(textOf('', ' word')).to.equal(' word')
    expect(textOf(' ', '\n word')).to.equal('\n word')
    expect(textOf(' ', '  word', ' more')).to.equal(' word more')
  })
})
