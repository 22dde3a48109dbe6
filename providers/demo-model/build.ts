/**
 * Builds the demo model from its corpus: `node providers/demo-model/build.ts [KEY=VALUE ...]`.
 *
 * Takes:    corpus/, a C++17 compiler (`c++`, or the one named by CXX), about a gigabyte of memory.
 * Gives:    triforce-demo.gguf beside this file.
 * Options:  work=FOLDER (intermediate files; default a new temporary folder), out=FILE, from=N (goes on after
 *           the phases below N, whose files lie in that folder), quick=1 (a few steps only, to try the chain).
 * Promise:  same machine, same compiler, same sources: the same bytes.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { normaliseQuestion, readCorpus, readDialogueMaterial, readHeldOut } from './corpus.ts'
import { createDialogueSource, datasetPhases, encodeDialogue, packSample } from './dataset.ts'
import { writeGguf } from './gguf.ts'
import { createRandom } from './random.ts'
import { createTokenizer, trainVocabulary } from './tokenizer.ts'
import type { ModelSizes } from './gguf.ts'

/** Seeds: evaluate.ts uses another one, so its noisy questions are new to the model. */
const vocabularySeed = 11
const vocabularyDialogues = 40_000
/** Weight of an answer against one noisy question: answers are what the model writes, they deserve the long tokens. */
const answerWeight = 250

const sizes: ModelSizes = { vocabulary: 1_024, dim: 128, layers: 4, heads: 4, ffn: 384, context: 1_024 }
const training = [
  { shares: datasetPhases.answers, dataSeed: 12, steps: 1_150, batch: 4_096, rate: 0.004, decay: 0.05 },
  { shares: datasetPhases.questions, dataSeed: 13, steps: 4_100, batch: 2_048, rate: 0.003, decay: 0.05 },
  { shares: datasetPhases.objects, dataSeed: 14, steps: 450, batch: 2_048, rate: 0.001, decay: 0.05 },
] as const
const initialSeed = 1
/** Logits are scaled by this at export, which makes the client's default temperature of 1 behave like 0.4. */
const sharpness = 2.5
const compilerFlags = ['-std=c++17', '-O3', '-march=native', '-mprefer-vector-width=512', '-ffast-math']

const options = new Map(process.argv.slice(2).map((argument) => argument.split('=', 2) as [string, string | undefined]))
const here = fileURLToPath(new URL('.', import.meta.url))
const work = options.get('work') ?? mkdtempSync(join(tmpdir(), 'triforce-demo-model-'))
const output = options.get('out') ?? join(here, 'triforce-demo.gguf')
const firstPhase = Number(options.get('from') ?? 1)
const quickSteps = 3
mkdirSync(work, { recursive: true })

const say = (line: string): void => { process.stdout.write(`${line}\n`) }
const corpus = readCorpus()
const material = readDialogueMaterial()
const heldOut = new Set(readHeldOut().map(({ question }) => normaliseQuestion(question)))

say('1/4 tokenizer')
const learning: (readonly [string, number])[] = []
for (const intents of Object.values(corpus.intents)) for (const { answer } of intents) learning.push([answer, answerWeight])
for (const system of [...material.systems, ...material.jsonSystems]) learning.push([system, answerWeight / 5])
learning.push(['system\n', answerWeight * 50], ['user\n', answerWeight * 50], ['assistant\n', answerWeight * 50])
const vocabularySource = createDialogueSource(corpus, material, heldOut, createRandom(vocabularySeed))
for (let i = 0; i < vocabularyDialogues; i++) {
  for (const turn of vocabularySource.next().turns) learning.push([turn.user, 1], [turn.json ? turn.assistant : '', 1])
}
const tokenizer = createTokenizer(trainVocabulary(learning, sizes.vocabulary))
writeFileSync(join(work, 'vocabulary.json'), JSON.stringify(tokenizer.vocabulary))

say('2/4 compile')
const trainer = join(work, 'train')
execFileSync(process.env['CXX'] ?? 'c++', [...compilerFlags, join(here, 'train.cpp'), '-o', trainer], { stdio: 'inherit' })

let weightsFile = ''
for (const [index, { shares, dataSeed, steps: fullSteps, batch, rate, decay }] of training.entries()) {
  const phase = index + 1
  const before = weightsFile
  weightsFile = join(work, `weights-${phase}.bin`)
  if (phase < firstPhase) continue
  const steps = options.get('quick') === '1' ? quickSteps : fullSteps
  say(`3/4 train, phase ${phase} of ${training.length}`)
  const random = createRandom(dataSeed)
  const source = createDialogueSource(corpus, material, heldOut, random, shares)
  const parts: Buffer[] = []
  for (let made = 0; made < steps * batch;) {
    const sample = encodeDialogue(source.next(), tokenizer, random, shares)
    made += sample.tokens.length
    parts.push(packSample(sample))
  }
  const data = join(work, `data-${phase}.bin`)
  writeFileSync(data, Buffer.concat(parts))
  const settings = { steps, batch, rate, decay, seed: initialSeed, vocab: sizes.vocabulary, dim: sizes.dim, layers: sizes.layers, heads: sizes.heads, ffn: sizes.ffn }
  const flags = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  execFileSync(trainer, [data, weightsFile, ...flags, ...(before === '' ? [] : [`init=${before}`])], { stdio: 'inherit' })
}

say('4/4 export')
const bytes = readFileSync(weightsFile)
const weights = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
const file = writeGguf(weights, sizes, tokenizer.vocabulary, {
  name: 'TriForce demo',
  description: 'A tiny demo model that answers questions about TriForce and nothing else.',
  licence: 'apache-2.0',
  author: 'TriForce contributors',
}, sharpness)
writeFileSync(output, file)
say(`${output}: ${file.length} bytes`)
