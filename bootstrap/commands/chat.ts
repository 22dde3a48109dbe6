/** `triforce chat`: one question, or a conversation on a terminal. */
import type { Command } from 'commander'
import { z } from 'zod'
import type { ChatMessage } from '../../protocol/completion.ts'
import { COMPLETION_TOKENS_MAX, PROMPT_CHARS_MAX } from '../../protocol/limits.ts'
import type { ApiClient } from '../api-client.ts'
import type { ChatRequest } from '../chat-stream.ts'
import { CommandError, usageError } from '../command-error.ts'
import { parseCount, parseNumber } from '../option-parsers.ts'
import { argumentOf } from './arguments.ts'
import { ask, servedLine } from './chat-answer.ts'
import { converse } from './chat-repl.ts'
import { clientFor, printJson, withClientFlags, type ClientFlags, type CommandContext } from './context.ts'

interface ChatFlags extends ClientFlags {
  readonly model?: string
  readonly system?: string
  readonly temperature?: number
  readonly maxTokens?: number
}

export function addChatCommand(program: Command, context: CommandContext): void {
  withClientFlags(program.command('chat')
    .description('ask a question and stream the answer; without a question: a conversation')
    .argument('[question...]', 'what to ask; also read from a pipe'))
    .option('--model <id>', 'model to ask (default: the first one offered)')
    .option('--system <text>', 'how the model shall behave')
    .option('--temperature <number>', 'from 0 (steady) to 2 (wild)', argumentOf('--temperature', parseNumber(0, 2)))
    .option('--max-tokens <count>', 'longest answer', argumentOf('--max-tokens', parseCount(1, COMPLETION_TOKENS_MAX)))
    .action(async (words: string[], flags: ChatFlags) => runChat(words.join(' '), flags, context))
}

async function runChat(words: string, flags: ChatFlags, context: CommandContext): Promise<void> {
  const { terminal } = context
  const interactive = words === '' && process.stdin.isTTY
  if (interactive && flags.json === true) throw usageError('chat --json needs a question; give it as an argument or through a pipe')
  const question = interactive ? '' : await questionFrom(words)
  const client = await clientFor(flags, context)
  const model = flags.model ?? await firstModel(client)
  const system: ChatMessage[] = flags.system === undefined ? [] : [{ role: 'system', content: flags.system }]
  const request: ChatRequest = { model, messages: system, temperature: flags.temperature, maxTokens: flags.maxTokens }
  if (interactive) return converse({ client, terminal }, request)

  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(new CommandError('stopped')))
  const json = flags.json === true
  const answer = await ask({ client, terminal }, { ...request, messages: [...system, { role: 'user', content: question }] }, {
    signal: stop.signal, show: !json,
  }).catch((error: unknown) => { throw stop.signal.aborted ? stop.signal.reason : error })
  if (!json) return terminal.note(terminal.style('dim', servedLine(answer), 'stderr'))
  const { finish, usage, served } = answer.end
  printJson(terminal, { model, answer: answer.text, finish, usage, served })
}

/** The words of the command line; without any, what comes through the pipe; a last word `-` adds the pipe below the words. */
async function questionFrom(words: string): Promise<string> {
  const addsPipe = words.endsWith(' -')
  const own = (addsPipe ? words.slice(0, -1) : words).trim()
  const piped = own !== '' && !addsPipe ? '' : (await readPipe()).trim()
  const question = [own === '-' ? '' : own, piped].filter((part) => part !== '').join('\n\n')
  if (question === '') throw usageError('there is no question; try: triforce chat "What is TriForce?"')
  return question
}

async function readPipe(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const piece of process.stdin) {
    text += String(piece)
    if (text.length > PROMPT_CHARS_MAX) throw new CommandError(`the question is longer than ${PROMPT_CHARS_MAX} characters; ask with less text`)
  }
  return text
}

const modelListSchema = z.object({ data: z.array(z.object({ id: z.string() })) })

async function firstModel(client: ApiClient): Promise<string> {
  const { data } = await client.json(modelListSchema, '/v1/models')
  const [first] = data
  if (first !== undefined) return first.id
  // The node says of a model by name why nobody lends it now, and what to do.
  const [resting] = (await client.json(modelListSchema, '/v1/models?resting=true')).data
  if (resting !== undefined) return resting.id
  throw new CommandError('no peer of the federation offers a model now; look at "triforce status", or start a contributor')
}
