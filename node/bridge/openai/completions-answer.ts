/** Answers in the form of OpenAI's old completions. What a model thinks has no place in it and is left out. */
import type { GoodFinish, TokenLogprob } from '../../../protocol/completion.ts'
import type { AnswerWriter } from '../dialect.ts'
import { servedBody } from '../served.ts'
import { usageBody, type OpenAIChatAnswer } from './chat-answer.ts'
import { brokenStreamError, DONE, eventComment, EVENT_STREAM } from './stream-events.ts'

export function createOpenAICompletionsWriter(answer: Omit<OpenAIChatAnswer, 'showReasoning'>): AnswerWriter {
  const head = `"id":${JSON.stringify(answer.id)},"object":"text_completion","created":${answer.createdAtSeconds},"model":${JSON.stringify(answer.model)}`
  const tail = answer.includeUsage ? ',"usage":null}\n\n' : '}\n\n'
  const textStart = `data: {${head},"choices":[{"index":0,"text":`
  // Offsets of tokens count over the whole answer.
  let offset = 0

  return {
    streamContentType: EVENT_STREAM,
    begin: () => '',

    delta(delta) {
      if (delta.type !== 'text') return ''
      const logprobs = delta.logprobs === undefined ? 'null' : JSON.stringify(logprobsBody(delta.logprobs, offset))
      offset += delta.text.length
      return `${textStart}${JSON.stringify(delta.text)},"logprobs":${logprobs},"finish_reason":null}]${tail}`
    },

    end({ finish, usage, served }) {
      const finished = `${textStart}"","logprobs":null,"finish_reason":"${finishReasons[finish]}"}],"triforce":${JSON.stringify(servedBody(served))}${tail}`
      const counted = answer.includeUsage ? `data: {${head},"choices":[],"usage":${JSON.stringify(usageBody(usage))}}\n\n` : ''
      return finished + counted + DONE
    },

    failed(error) {
      return `${textStart}"","logprobs":null,"finish_reason":"error"}],"error":${JSON.stringify(brokenStreamError(error))}${tail}`
    },

    comment: eventComment,

    body({ text, logprobs }, { finish, usage, served }) {
      return JSON.stringify({
        id: answer.id,
        object: 'text_completion',
        created: answer.createdAtSeconds,
        model: answer.model,
        choices: [{ index: 0, text, logprobs: logprobs.length === 0 ? null : logprobsBody(logprobs, 0), finish_reason: finishReasons[finish] }],
        usage: usageBody(usage),
        triforce: servedBody(served),
      })
    },
  }
}

// Without tools there are no calls.
const finishReasons: Readonly<Record<GoodFinish, string>> = { stop: 'stop', length: 'length', toolCalls: 'stop', filtered: 'content_filter' }

function logprobsBody(logprobs: readonly TokenLogprob[], start: number) {
  let at = start
  return {
    tokens: logprobs.map(({ token }) => token),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(({ top }) => Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))),
    text_offset: logprobs.map(({ token }) => {
      const offset = at
      at += token.length
      return offset
    }),
  }
}
