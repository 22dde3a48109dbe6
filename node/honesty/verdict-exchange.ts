/**
 * Hubs tell each other whom they found good or bad, and show after each hour by which secret they had chosen their checks.
 * What another hub says makes this one look closer and keeps pay back; whom it spared is said to the operator.
 */
import type { HubLedger } from '../../ledger/interface.ts'
import { bytesEqual, fromHex } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { CLOCK_SKEW_MS_MAX } from '../../protocol/limits.ts'
import { checksTellSchema, checkVerdictSchema, VERDICTS_TOLD_MAX, type CheckReport, type CheckVerdict } from '../../protocol/messages/checks.ts'
import type { ControlQuestion } from '../../protocol/messages/control.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import type { Clock, Log, Random, Signer } from '../../protocol/ports.ts'
import { openDocument, signDocument, type Signed } from '../../protocol/signed.ts'
import { fromWireError } from '../../protocol/wire-error.ts'
import type { Requests } from '../net/requests.ts'
import { auditDraws, type DrawAudit } from './draw-audit.ts'
import type { DrawBook } from './draw-book.ts'
import { DRAW_HOUR_MS, hourOf } from './lottery.ts'
import type { Standings } from './standings.ts'

export interface VerdictExchangeComponents {
  readonly standings: Standings
  readonly book: DrawBook
  readonly ledger: Pick<HubLedger, 'receipts'>
  readonly requests: Pick<Requests, 'ask'>
  readonly isConnected: (peer: string) => boolean
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface VerdictExchangeOptions {
  readonly network: string
  readonly hubs: readonly { readonly name: string; readonly peerId: string }[]
  /** Place of this hub among them. */
  readonly me: number
  /** Default 10 minutes, and one second after a machine failed or was cleared. */
  readonly everyMs?: number
}

type Question = Extract<ControlQuestion, { t: 'checks' }>

export interface VerdictExchange {
  /** For hubs only; throws NOT_A_HUB, and SIGNATURE_INVALID for a verdict that is not that hub's. */
  answer(peer: string, question: Question): Promise<Uint8Array>
  start(): void
  stop(): void
}

const ASK_MS_MAX = 10_000
const SOON_MS = 1_000
/** Machines whose jobs of an hour are compared with a hub's report, and jobs of each. */
const AUDITED_MACHINES_MAX = 32
const AUDITED_JOBS_MAX = 100
/** A job that ends near the edge of an hour may be logged in the next one. */
const EDGE_MS = 60_000

export function createVerdictExchange(components: VerdictExchangeComponents, options: VerdictExchangeOptions): VerdictExchange {
  const { standings, book, ledger, requests, isConnected, signer, clock, random } = components
  const log = components.log.child('checks')
  const { network, hubs, me, everyMs = 600_000 } = options
  /** By hub and hour. */
  const commitments = new Map<string, Uint8Array>()
  const audited = new Map<string, number>()
  let cursor = 0
  let running = false
  let cancel = (): void => {}

  function schedule(waitMs: number): void {
    cancel()
    if (running) cancel = clock.after(waitMs, () => { void round() })
  }

  async function round(): Promise<void> {
    const verdicts = ownVerdicts()
    await Promise.all(hubs.map(async ({ peerId, name }, index) => {
      if (index === me || !isConnected(peerId)) return
      try {
        await tell(index, peerId, verdicts)
      } catch (reason) {
        log.debug('a hub did not take what this one found', { hub: name, code: toTriforceError(reason).code })
      }
    }))
    schedule(everyMs * (0.8 + 0.4 * random.unit()))
  }

  /** All that failed, and of the others as many as fit, in turn. */
  function ownVerdicts(): Signed[] {
    const decided = standings.decided()
    const failed = decided.filter(([, { state }]) => state === 'failed').slice(-VERDICTS_TOLD_MAX)
    const passed = decided.filter(([, { state }]) => state === 'passed')
    const room = Math.min(passed.length, VERDICTS_TOLD_MAX - failed.length)
    const told = Array.from({ length: room }, (_, index) => passed[(cursor + index) % passed.length]!)
    cursor = passed.length === 0 ? 0 : (cursor + room) % passed.length
    return [...failed, ...told].map(([contributor, { state, failedBy }]) => signDocument(signer, 'checkVerdict', {
      v: 1, network, contributor: fromHex(contributor)!, state: state === 'failed' ? 'failed' : 'passed', sentAt: clock.now(),
      ...(state === 'failed' && failedBy !== undefined ? { why: failedBy } : {}),
    } satisfies CheckVerdict))
  }

  async function tell(index: number, peerId: string, verdicts: Signed[]): Promise<void> {
    const hour = hourOf(clock.now()) - 1
    const answer = await requests.ask(peerId, { t: 'checks', hour, nextHour: book.nextHour, commitment: book.commitment(), verdicts }, { waitMsMax: ASK_MS_MAX })
    if (answer.t === 'error') throw fromWireError(answer)
    if (answer.t !== 'ok') throw new TriforceError('PROTOCOL_VIOLATION', { answer: answer.t })
    const { report } = decode(checksTellSchema, answer.body)
    if (report === undefined || audited.get(peerId) === hour) return
    audited.set(peerId, hour)
    const found = await audit(index, hour, report)
    for (const problem of found.problems) log.warn(`hub ${hubs[index]!.name} has not checked as it should: ${problem}`, { hour, drawn: found.drawn, skipped: found.skipped.length })
  }

  async function audit(index: number, hour: number, report: CheckReport): Promise<DrawAudit> {
    const { peerId } = hubs[index]!
    const [fromMs, toMs] = [hour * DRAW_HOUR_MS + EDGE_MS, (hour + 1) * DRAW_HOUR_MS - EDGE_MS]
    const machines = standings.known()
    const start = Math.floor(random.unit() * machines.length)
    const chosen = Array.from({ length: Math.min(AUDITED_MACHINES_MAX, machines.length) }, (_, place) => fromHex(machines[(start + place) % machines.length]!)!)
    const jobs: { jobId: Uint8Array; contributor: Uint8Array }[] = []
    for (const contributor of chosen) {
      for (const { receipt, hub, loggedAt } of await ledger.receipts({ contributor, before: toMs, limit: AUDITED_JOBS_MAX })) {
        const { path, finish, usage } = receipt.observation
        // Of what a hub does not pass on it sees no text; what did not end well shows nothing.
        if (hub !== index || loggedAt < fromMs || path !== 'hub' || usage.completionTokens === 0 || finish === 'cancelled' || finish === 'error') continue
        jobs.push({ jobId: decode(ticketSchema, receipt.ticket).jobId, contributor })
      }
    }
    return auditDraws({ report, hub: publicKeyOf(peerId)!, network, hour, commitment: commitments.get(`${peerId} ${hour}`), jobs })
  }

  standings.onDecided(() => schedule(SOON_MS))

  return {
    answer(peer, { hour, nextHour, commitment, verdicts }) {
      const index = hubs.findIndex(({ peerId }) => peerId === peer)
      if (index === -1) return Promise.reject(new TriforceError('NOT_A_HUB'))
      const key = publicKeyOf(peer)!
      const opened = verdicts.map((document) => {
        if (!bytesEqual(document.key, key)) throw new TriforceError('SIGNATURE_INVALID', { document: 'checkVerdict' })
        return openDocument('checkVerdict', checkVerdictSchema, document)
      })
      for (const verdict of opened) {
        if (verdict.network === network && verdict.sentAt <= clock.now() + CLOCK_SKEW_MS_MAX) standings.heard(peer, verdict)
      }
      // The first word counts: a hub that could change it later would have committed to nothing.
      const name = `${peer} ${nextHour}`
      if (nextHour === book.nextHour && !commitments.has(name)) {
        if (commitments.size >= COMMITMENTS_MAX) commitments.delete(commitments.keys().next().value!)
        commitments.set(name, commitment)
      }
      const report = book.report(hour)
      return Promise.resolve(encode(report === undefined ? {} : { report }))
    },
    start() {
      running = true
      schedule(SOON_MS * 10)
    },
    stop() {
      running = false
      cancel()
    },
  }
}

const COMMITMENTS_MAX = 16
