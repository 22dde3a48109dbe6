import { expect } from 'chai'
import { parseModelSource } from '../../../providers/model-source.ts'

describe('providers/model-source', () => {
  it('reads files of Hugging Face, of the web, and names of Ollama', () => {
    expect(parseModelSource('hf:bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf')).to.deep.equal({
      type: 'file', fileName: 'Llama-3.2-3B-Instruct-Q4_K_M.gguf',
      url: 'https://huggingface.co/bartowski/Llama-3.2-3B-Instruct-GGUF/resolve/main/Llama-3.2-3B-Instruct-Q4_K_M.gguf',
    })
    expect(parseModelSource('hf:o/r@v2/sub dir/m.gguf', { huggingFace: 'https://mirror.example/' })).to.deep.include({ url: 'https://mirror.example/o/r/resolve/v2/sub%20dir/m.gguf', fileName: 'm.gguf' })
    expect(parseModelSource('https://example.org/a/My%20Model.gguf?x=1')).to.deep.equal({ type: 'file', url: 'https://example.org/a/My%20Model.gguf?x=1', fileName: 'My Model.gguf' })
    expect(parseModelSource('http://127.0.0.1:8080/m.gguf')).to.deep.include({ fileName: 'm.gguf' })
    for (const name of ['llama3.2', 'llama3.2:3b', 'someone/model:latest', 'hf.co/o/r']) expect(parseModelSource(name)).to.deep.equal({ type: 'ollama', name })
  })

  it('refuses what could leave the folder, be changed on the way, or is no model', () => {
    for (const [text, says] of [
      ['hf:owner/file.gguf', 'must be hf:owner/repo/file.gguf'], ['hf:o/r/../../x.gguf', 'must be hf:owner/repo/file.gguf'], ['hf:o/r/a//b.gguf', 'must be hf:owner/repo/file.gguf'],
      ['hf:o/r/model.bin', 'must be hf:owner/repo/file.gguf'], ['http://example.org/m.gguf', 'must be an https URL'], ['https://u:p@example.org/m.gguf', 'without a user name'],
      ['https://example.org/', 'ends in .gguf'], ['https://example.org/%2e%2e%2f.gguf', 'ends in .gguf'], ['https://example.org/%E0%A4%A.gguf', 'ends in .gguf'],
      [`https://example.org/${'x'.repeat(300)}.gguf`, 'ends in .gguf'], ['ftp://example.org/m.gguf', 'must be hf:'], ['', 'must be hf:'], ['a b', 'must be hf:'],
    ] as const) expect(() => parseModelSource(text), text).to.throw(RangeError, says)
  })
})
