/** What an answer's headers tell of it, in every dialect: who serves it, what it costs, what is left. Amounts are credits as decimal text. */
import { formatCredits } from '../../protocol/units.ts'
import type { PlacedEvent, Served } from '../gateway.ts'

/** For pages of other origins, which read only what is named. */
export const answerHeaderNames = [
  'x-triforce-host', 'x-triforce-attempts', 'x-triforce-model', 'x-triforce-cost', 'x-triforce-remaining', 'x-triforce-overhead-ms', 'x-triforce-price-prompt',
  'x-triforce-price-completion', 'x-triforce-digest', 'x-triforce-quantization', 'x-triforce-check', 'idempotent-replayed',
] as const

/** Before the first byte of an answer. `overheadMs`: from the request's arrival until its host was asked. */
export function placedHeaders({ host, attempts, model, price, remainingMicroCredits, digest, quantization, check }: PlacedEvent, overheadMs: number): Record<string, string> {
  return {
    'x-triforce-host': host,
    'x-triforce-attempts': String(attempts),
    'x-triforce-model': model,
    'x-triforce-overhead-ms': overheadMs.toFixed(1),
    ...weightHeaders({ digest, quantization, check }),
    // For 1,000 tokens.
    ...(price === undefined ? {} : {
      'x-triforce-price-prompt': formatCredits(price.promptMicroCredits), 'x-triforce-price-completion': formatCredits(price.completionMicroCredits),
    }),
    ...(remainingMicroCredits === undefined ? {} : { 'x-triforce-remaining': formatCredits(remainingMicroCredits) }),
  }
}

/** Which weights answer, as their host announces them, and what this federation's checks of the host have shown. */
function weightHeaders({ digest, quantization, check }: { readonly [Name in 'digest' | 'quantization' | 'check']: string | undefined }): Record<string, string> {
  return {
    ...(digest === undefined ? {} : { 'x-triforce-digest': digest }), ...(quantization === undefined ? {} : { 'x-triforce-quantization': headerText(quantization) }),
    ...(check === undefined ? {} : { 'x-triforce-check': check }),
  }
}

/** A host names its quantisation as it likes. */
function headerText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?')
}

/** Of an answer in one body, which leaves when everything is known. */
export function servedHeaders({ host, attempts, model, costMicroCredits, remainingMicroCredits }: Served, overheadMs?: number): Record<string, string> {
  return {
    'x-triforce-host': host,
    'x-triforce-attempts': String(attempts),
    'x-triforce-model': model,
    ...(overheadMs === undefined ? {} : { 'x-triforce-overhead-ms': overheadMs.toFixed(1) }),
    'x-triforce-cost': formatCredits(costMicroCredits),
    ...(remainingMicroCredits === undefined ? {} : { 'x-triforce-remaining': formatCredits(remainingMicroCredits) }),
  }
}
