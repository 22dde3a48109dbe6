/**
 * A Gateway for tests of the bridge, without a network: each completion is a run that the test drives event by event, or
 * lets a script drive. It keeps what the bridge did to it: what it was asked, how far it was pulled, when it was aborted.
 */
import type { CompletionRequest } from '../../protocol/completion.ts'
import type { StatementLine } from '../../ledger/interface.ts'
import { createSigner } from '../../protocol/crypto.ts'
import { TriforceError, type ErrorCode } from '../../protocol/errors.ts'
import type { KeyTerms } from '../../protocol/key-terms.ts'
import type { RoutingWishes } from '../../protocol/routing.ts'
import type { CompletionEvent, Gateway, NodeStatus, Principal, Served } from '../../node/gateway.ts'

export const TEST_KEY = 'tf-test-key-that-the-scripted-gateway-knows'

export const testServed: Served = {
  host: '12D3KooWHost',
  hostName: 'lender',
  hub: 'alpha',
  receiptId: new Uint8Array(16).fill(0xab),
  durability: 'replicated',
  costMicroCredits: 0n,
  attempts: 1,
  model: 'demo',
}

export const testStatus: NodeStatus = {
  name: 'alpha', mode: 'hub', peerId: '12D3KooWAlpha', network: 'test', version: '0.1.0', uptimeMs: 1_000, ready: true, waitingFor: [],
  hubs: [{ name: 'alpha', peerId: '12D3KooWAlpha', connected: true }], connections: 2, models: [{ id: 'demo', hosts: 1 }],
  jobs: { running: 0, queued: 0, served: 0, failed: 0 }, reachableThrough: [],
  traffic: { direct: { jobs: 1, bytes: 2 }, relayed: { jobs: 3, bytes: 4 }, proxied: { jobs: 5, bytes: 6 } },
}

/** Five lines of one millisecond: only a cursor with an id can part them. */
export const testLines: readonly StatementLine[] = Array.from({ length: 5 }, (_, index) => ({
  id: new Uint8Array(16).fill(index + 1), kind: index === 0 ? 'Settle' : 'Grant', at: 5_000, hub: 1, epoch: 1, seq: 9 - index,
  amount: index === 0 ? -1_500_000n : 2n, held: 0n, quotaTokens: index, why: 'because', hold: undefined,
  receipt: index === 0 ? new Uint8Array(16).fill(0xab) : undefined,
}))

export interface ScriptedRun {
  readonly principal: Principal
  readonly request: CompletionRequest
  readonly routing: RoutingWishes | undefined
  readonly signal: AbortSignal
  /** Events that the bridge has taken. */
  readonly pulled: number
  /** Resolves when the signal aborts. */
  readonly aborted: Promise<void>
  /** Resolves when the iterator is over, in whatever way. */
  readonly ended: Promise<void>
  emit(...events: readonly CompletionEvent[]): void
  fail(code: ErrorCode): void
  /** Emits each text, then `finish` and `settled`. */
  answer(...texts: readonly string[]): void
}

export interface ScriptedGateway extends Gateway {
  /** Of the test key. */
  terms: KeyTerms | undefined
  readonly addedKeys: Parameters<Gateway['addKey']>[1][]
  readonly revokedKeys: Uint8Array[]
  readonly usageAsked: { readonly from: number; readonly to: number }[]
  readonly runs: readonly ScriptedRun[]
  readonly authentications: number
  /** The next run that starts, or one that started and was not taken yet. */
  nextRun(): Promise<ScriptedRun>
  /** Drives every later run; undefined gives control back to the test. */
  script: ((run: ScriptedRun) => AsyncIterable<CompletionEvent> | void) | undefined
  /** What an embedding gives; three numbers for each input where a test says nothing else. */
  embedScript: Gateway['embed']
  currentStatus: NodeStatus
  /** Where set, every call but `complete` fails with it. */
  failure: ErrorCode | undefined
}

export const textEvent = (text: string): CompletionEvent => ({ type: 'text', text, tokens: 1 })

export const finishEvent = (finish: 'stop' | 'length' | 'cancelled' | 'error' = 'stop'): CompletionEvent =>
  ({ type: 'finish', finish, usage: { promptTokens: 7, completionTokens: 3 } })

export const settledEvent: CompletionEvent = { type: 'settled', served: testServed }

export function createScriptedGateway(): ScriptedGateway {
  const principal: Principal = {
    account: new Uint8Array(16).fill(1), accountName: 'local', tier: 'unlimited', signer: createSigner(new Uint8Array(32).fill(9)),
  }
  const runs: ScriptedRun[] = []
  const untaken: ScriptedRun[] = []
  const takers: ((run: ScriptedRun) => void)[] = []
  let authentications = 0

  function checkFailure(): void {
    if (gateway.failure !== undefined) throw new TriforceError(gateway.failure)
  }

  const gateway: ScriptedGateway = {
    runs,
    terms: undefined,
    addedKeys: [],
    revokedKeys: [],
    usageAsked: [],
    script: undefined,
    embedScript: (_principal, { inputs }) => Promise.resolve({
      vectors: inputs.map((input, index) => Float32Array.of(input.length, index, 0.1)), usage: { promptTokens: 5, completionTokens: 0 }, served: testServed,
    }),
    currentStatus: testStatus,
    failure: undefined,
    get authentications() {
      return authentications
    },
    nextRun() {
      const run = untaken.shift()
      return run === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(run)
    },
    async authenticate(apiKey) {
      authentications += 1
      checkFailure()
      if (apiKey !== TEST_KEY) throw new TriforceError('INVALID_API_KEY')
      return gateway.terms === undefined ? principal : { ...principal, terms: gateway.terms }
    },
    async route(_principal, { model }) {
      checkFailure()
      return { known: 0, candidates: [], leftOut: [{ model, peer: '12D3KooWAway', name: 'away', reason: 'unreachable' }] }
    },
    async models() {
      checkFailure()
      return ['demo', 'hf.co/org/model:Q4_K_M'].map((id) => ({
        id, hosts: 1, contextTokens: 512, capabilities: ['chat', 'json'], quantizations: ['Q8_0'], demo: id === 'demo',
        firstSeenAt: 1_700_000_000_000,
      }))
    },
    complete(who, request, { signal, routing }) {
      const run = createRun(who, request, signal, routing)
      runs.push(run)
      const taker = takers.shift()
      if (taker === undefined) untaken.push(run)
      else taker(run)
      const scripted = gateway.script?.(run)
      return run.iterate(scripted ?? undefined)
    },
    embed: (who, request, options) => gateway.embedScript(who, request, options),
    async keys() {
      checkFailure()
      return [{ publicKey: new Uint8Array(32).fill(3), account: principal.account, name: 'work', createdAt: 1_700_000_000_000, terms: { dayBudget: 5_000_000n }, use: { today: 1n, total: 2n } }]
    },
    async addKey(_principal, key) {
      checkFailure()
      gateway.addedKeys.push(key)
    },
    async revokeKey(_principal, publicKey) {
      checkFailure()
      gateway.revokedKeys.push(publicKey)
    },
    async usage(_principal, time) {
      checkFailure()
      gateway.usageAsked.push(time)
      return { rows: [{ day: 20_000, model: 'openai/gpt-4o', key: 'work', requests: 2, promptTokens: 10, completionTokens: 20, costMicroCredits: 300_000n }], complete: true }
    },
    async account() {
      checkFailure()
      return { account: principal.account, name: 'local', tier: 'unlimited', balanceMicroCredits: 1_000_500_000n }
    },
    async receipts(_principal, { limit, before }) {
      checkFailure()
      return Array.from({ length: 5 }, (_, index) => ({
        id: `rcpt_${String(index).padStart(32, '0')}`, jobId: `job${index}`, model: 'demo', contributor: '12D3KooWHost',
        hub: '12D3KooWAlpha', account: '01'.repeat(16), promptTokens: 7, completionTokens: 3, finish: 'stop' as const, observedMs: 12,
        signedBy: ['contributor' as const, 'hub' as const], loggedAt: 5_000 - index,
      })).filter((receipt) => before === undefined || receipt.loggedAt < before).slice(0, limit)
    },
    async receiptFile(_principal, id) {
      checkFailure()
      if (id[0] !== 0xab) throw new TriforceError('RECEIPT_NOT_FOUND')
      return '{ "receipt":  "exactly as given" }\n'
    },
    async credits() {
      checkFailure()
      return {
        account: principal.account, name: 'local', tier: 'pro',
        balance: { available: 1_000_500_000n, held: 1n, inflight: 2n, frozen: 3n, back: 4n, debt: 0n },
        quota: { day: 20_000, tokensPerDay: 250_000, usedTokens: 260_000 }, earnedToday: 5n, earnedUnpaid: 6n, earnedPaid: 2n ** 62n,
      }
    },
    async statement(_principal, { limit, from = 0, to = Infinity, after }) {
      checkFailure()
      return testLines.filter(({ at }) => at >= from && at < to)
        .slice(after === undefined ? 0 : testLines.findIndex((line) => line.id[0] === after.id[0]) + 1).slice(0, limit)
    },
    async statementFile() {
      checkFailure()
      return '{ "statement":  "exactly as given" }\n'
    },
    status: () => gateway.currentStatus,
  }
  return gateway
}

interface IterableRun extends ScriptedRun {
  iterate(script: AsyncIterable<CompletionEvent> | undefined): AsyncIterable<CompletionEvent>
}

function createRun(principal: Principal, request: CompletionRequest, signal: AbortSignal, routing: RoutingWishes | undefined): IterableRun {
  const queue: (CompletionEvent | TriforceError)[] = []
  const aborted = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  let pulled = 0
  let wake: (() => void) | undefined
  signal.addEventListener('abort', () => {
    aborted.resolve()
    wake?.()
  })

  async function* queued(): AsyncIterable<CompletionEvent> {
    for (;;) {
      if (signal.aborted) throw new TriforceError('CANCELLED')
      const next = queue.shift()
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      if (next instanceof TriforceError) throw next
      yield next
      if (next.type === 'settled') return
    }
  }

  return {
    principal,
    request,
    routing,
    signal,
    aborted: aborted.promise,
    ended: ended.promise,
    get pulled() {
      return pulled
    },
    emit(...events) {
      queue.push(...events)
      wake?.()
    },
    fail(code) {
      queue.push(new TriforceError(code))
      wake?.()
    },
    answer(...texts) {
      this.emit(...texts.map(textEvent), finishEvent(), settledEvent)
    },
    async* iterate(script) {
      try {
        for await (const event of script ?? queued()) {
          pulled += 1
          yield event
        }
      } finally {
        ended.resolve()
      }
    },
  }
}
