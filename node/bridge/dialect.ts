/**
 * What one HTTP dialect knows about an answer, and nothing else: how it is written. `completion-runner.ts` drives it and
 * knows no dialect. One writer serves one answer.
 */
import type { FinishReason, Usage } from '../../protocol/completion.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import type { Served } from '../gateway.ts'

/** How an answer ended that a client may see as whole. */
export interface AnswerEnd {
  readonly finish: Extract<FinishReason, 'stop' | 'length'>
  readonly usage: Usage
  readonly served: Served
}

/** Every method gives the exact text that goes out next. */
export interface AnswerWriter {
  readonly streamContentType: string
  /** Before the first text. */
  begin(): string
  text(text: string): string
  end(end: AnswerEnd): string
  /** The last thing of a stream that broke; a client must not be able to take it for a whole answer. */
  failed(error: TriforceError): string
  /** A sign of life that every client skips. */
  comment(text: string): string
  /** The whole answer in one body. */
  body(text: string, end: AnswerEnd): string
}
