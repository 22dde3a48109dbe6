/**
 * What one HTTP dialect knows about an answer, and nothing else: how it is written. `completion-runner.ts` drives it and
 * knows no dialect. One writer serves one answer.
 */
import type { AnswerDelta, DetailedUsage, GoodFinish } from '../../protocol/completion.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import type { Served } from '../gateway.ts'
import type { CollectedAnswer } from './collected-answer.ts'

/** How an answer ended that a client may see as whole. */
export interface AnswerEnd {
  readonly finish: GoodFinish
  readonly usage: DetailedUsage
  readonly served: Served
}

/** Every method gives the exact text that goes out next. */
export interface AnswerWriter {
  readonly streamContentType: string
  /** Before the first delta. */
  begin(): string
  delta(delta: AnswerDelta): string
  end(end: AnswerEnd): string
  /** The last thing of a stream that broke; a client must not be able to take it for a whole answer. */
  failed(error: TriforceError): string
  /** A sign of life that every client skips; it may come before `begin`. */
  comment(text: string): string
  /** The whole answer in one body. */
  body(answer: CollectedAnswer, end: AnswerEnd): string
}

/** How one dialect words an error: the body of an HTTP answer. Status and headers are the same in all. */
export type ErrorBody = (error: TriforceError, requestId: string) => string
