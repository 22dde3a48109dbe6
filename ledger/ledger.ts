/**
 * The ledger of one hub: puts its parts together. What it promises stands in interface.ts, how in docs/ledger.md.
 *
 *   appends → log-writer ─► commit-lane ─► store          (one synced batch)
 *   peers   → exchange   ─┘      └─► fold, peers, callers (once it is on the disk)
 */
import { bytesEqual, toHex } from '../protocol/bytes.ts'
import { accountIdOf } from '../protocol/api-key.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import type { Federation } from '../protocol/federation.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { publicKeyOf } from '../protocol/peer-key.ts'
import type { Clock, Log, Random, Signer } from '../protocol/ports.ts'
import type { Signed } from '../protocol/signed.ts'
import { join } from 'node:path'
import { admitReceipt, admitTicket, type AdmissionOptions } from './admission.ts'
import { createCommitLane, type CommitLaneOptions } from './commit-lane.ts'
import { encodeEntry, encodeTicket, type EncodedEntry } from './entries/entry.ts'
import type { CheckedFrame, FrameContext } from './frame.ts'
import type { AppendResult, HubLedger, LogHead } from './interface.ts'
import { createLogWriter, type LogWriterOptions } from './log-writer.ts'
import { createOwnLog, type OwnLog, type OwnLogOptions } from './own-log.ts'
import { createExchange, type ExchangeOptions } from './reconcile/exchange.ts'
import { createReceipts } from './receipts.ts'
import { accountOf, accountsOf, apiKeyOf, apiKeysOf, applyEntry, createState } from './state.ts'
import { openHubFiles } from './store/hub-files.ts'
import { createLogStore, logName } from './store/log-store.ts'
import { openDatabase } from './store/open.ts'
import { logLabel, verifyLogs } from './store/verification.ts'

export interface LedgerComponents {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The hub's node key. */
  readonly signer: Signer
}

export interface LedgerOptions {
  /** This ledger's own folder; created where it does not exist. */
  readonly dir: string
  readonly federation: Federation
  /** Place of this hub in the federation. */
  readonly hubIndex: number
  /** The disk failed or the log forked: nothing is written any more, and the process should end. */
  readonly onFailed?: (error: TriforceError) => void
  readonly writer?: Omit<LogWriterOptions, 'network' | 'hub'>
  readonly lane?: CommitLaneOptions
  readonly exchange?: Omit<ExchangeOptions, 'network' | 'hub'>
  readonly ownLog?: Omit<OwnLogOptions, 'network' | 'hub'>
}

/** Issued tickets whose signature is remembered as our own: more than a hub has jobs at once. */
const TICKETS_ISSUED_MAX = 16_384

/** Throws CONFIG_INVALID (folder in use, foreign or newer) and LOG_DAMAGED. */
export async function openLedger({ clock, random, log, signer }: LedgerComponents, options: LedgerOptions): Promise<HubLedger> {
  const { dir, federation, hubIndex: hub } = options
  const { network } = federation
  const hubKeys = federation.hubs.map(({ peerId }) => publicKeyOf(peerId)!)
  const hubNames = federation.hubs.map(({ name }) => name)
  if (hubKeys[hub] === undefined || !bytesEqual(hubKeys[hub], signer.publicKey)) {
    throw new TriforceError('CONFIG_INVALID', { hub }, { detail: "this node's key is not that of the hub it is to be in the federation file" })
  }
  const context: FrameContext = { network, hubKeys }
  const names = { network, hub }

  const files = await openHubFiles(dir, names)
  const db = await openDatabase(join(dir, 'db'))
  const store = createLogStore(db)
  const state = createState()
  try {
    await verifyStored()
  } catch (error) {
    await store.close()
    throw error
  }

  let failure: TriforceError | undefined
  let ownLog: OwnLog | undefined
  let openWaiters: (() => void)[] = []
  const issued = new Map<string, Uint8Array>()

  const writer = createLogWriter({
    clock, store, kick: () => { lane.kick() }, peers: () => exchange.greeted, peersHave: (id) => exchange.peersHave(id), seen,
  }, { ...names, ...options.writer })

  const lane = createCommitLane({
    store, takeOwn: () => writer.take(), onDurable, onFailed: fail,
  }, options.lane)

  const exchange = createExchange({
    store, lane, log, context,
    ownTail: (id) => {
      const tail = writer.tail
      return tail !== undefined && logName(tail.log) === logName(id) && tail.no >= lane.tailOf(id).no ? tail : undefined
    },
    onChange: () => { ownLog?.review() },
    onAcked: (id, no) => { writer.acked(id, no) },
    onForked,
  }, { ...names, ...options.exchange })

  ownLog = await createOwnLog({
    clock, random, log, signer, files,
    ownTails: () => [...store.tails.values()].filter((tail) => tail.log.hub === hub),
    hashOf: (id, no) => lane.hashOf(id, no),
    behind: () => exchange.ownLogsBehind(),
    peers: () => exchange,
    idle: () => lane.idle(),
    openLog: (tail, logSigner, first) => { writer.open(tail, logSigner, first) },
    pauseLog: () => { writer.pause() },
  }, { ...names, ...options.ownLog }, { onOpen: wakeWaiters, onFailed: (error) => { fail(toTriforceError(error)) } })
    .catch(async (error: unknown) => {
      await store.close()
      throw error
    })

  async function verifyStored(): Promise<void> {
    const startedMs = clock.monotonicMs()
    const found = await verifyLogs(store, { hub, context, hubNames, apply: (entry, at) => { applyEntry(state, entry, at) } })
    for (const { log: id, no, detail } of found.damages) {
      log.warn(`the copy of ${logLabel(id, hubNames)} is damaged at frame ${no}: ${detail}; it is fetched again from the other hubs`)
    }
    if (found.rowsRepaired > 0) log.warn('index rows of the ledger were missing or wrong and are repaired', { rows: found.rowsRepaired })
    log.info('ledger verified', { frames: found.frames, entries: found.entries, ms: Math.round(clock.monotonicMs() - startedMs) })
  }

  function fold(frame: CheckedFrame): void {
    const { header } = frame
    for (const [index, entry] of frame.entries.entries()) {
      applyEntry(state, entry, { tsMs: header.tsMs, hub: header.hub, epoch: header.epoch, seq: header.firstSeq + index })
    }
  }

  function onDurable(frames: readonly CheckedFrame[]): void {
    for (const frame of frames) fold(frame)
    exchange.durable(frames)
    const own = frames.filter((frame) => frame.log.hub === hub)
    for (const frame of own) {
      writer.durable(frame)
      ownLog?.advanced(frame.tail)
    }
  }

  function seen() {
    return hubKeys.map((_, index) => {
      const newest = newestTailOf(index)
      return { epoch: newest?.log.epoch ?? 0, no: newest?.no ?? 0 }
    })
  }

  function newestTailOf(index: number) {
    return [...store.tails.values()].filter((tail) => tail.log.hub === index).sort((a, b) => b.log.epoch - a.log.epoch)[0]
  }

  function wakeWaiters(): void {
    const waiters = openWaiters
    openWaiters = []
    for (const wake of waiters) wake()
  }

  function onForked(id: LogId, no: number): void {
    const detail = `two versions of ${logLabel(id, hubNames)} exist, from frame ${no} on: it was written from two copies of its folder`
    log.error(detail, { log: logName(id), frame: no })
    if (id.hub !== hub || id.epoch !== writer.tail?.log.epoch && ownLog?.writable === true) return
    fail(new TriforceError('LOG_FORKED', { hub, epoch: id.epoch, frame: no }, {
      detail: `${detail}. This hub writes no more. Keep its ledger folder and call the other hubs' admins before it is started again`,
    }))
  }

  function fail(error: TriforceError): void {
    if (failure !== undefined) return
    failure = error
    log.error(error.message, { code: error.code })
    ownLog?.stop()
    writer.fail(error)
    wakeWaiters()
    options.onFailed?.(error)
  }

  async function append(encoded: EncodedEntry, before?: EncodedEntry): Promise<AppendResult> {
    if (failure !== undefined) throw failure
    if (ownLog?.writable !== true) throw new TriforceError('LEDGER_READ_ONLY')
    return await writer.append(encoded, before)
  }

  async function appendTicket(encoded: EncodedEntry): Promise<AppendResult> {
    if (failure !== undefined) throw failure
    if (ownLog?.writable !== true) throw new TriforceError('LEDGER_READ_ONLY')
    return await writer.appendLazily(encoded)
  }

  /** Encodes what an admin or the node asks for; what does not fit is ENTRY_INVALID. */
  function entryFrom(encodeIt: () => EncodedEntry): EncodedEntry {
    try {
      return encodeIt()
    } catch (cause) {
      const { context } = toTriforceError(cause)
      throw new TriforceError('ENTRY_INVALID', context, { cause })
    }
  }

  const admission: AdmissionOptions = {
    network, hubKey: signer.publicKey,
    isOwnTicket: (jobId, ticket) => {
      const signature = issued.get(toHex(jobId))
      return signature !== undefined && bytesEqual(signature, ticket.signature)
    },
  }

  const receipts = createReceipts({ store }, { federation })

  return {
    openAccount: async ({ publicKey, name, tier }) => {
      return await append(entryFrom(() => encodeEntry({ k: 'AccountOpen', account: accountIdOf(publicKey), publicKey, name, tier })))
    },
    addKey: async ({ publicKey, account, name }) => await append(entryFrom(() => encodeEntry({ k: 'KeyAdd', publicKey, account, name }))),
    revokeKey: async ({ publicKey }) => await append(entryFrom(() => encodeEntry({ k: 'KeyRevoke', publicKey }))),
    grant: async ({ account, amountMicroCredits, source }) => {
      return await append(entryFrom(() => encodeEntry({ k: 'Grant', account, amount: amountMicroCredits, source })))
    },
    logTicket: (signed: Signed) => {
      const { jobId } = admitTicket(signed, { ...admission, isOwnTicket: () => true })
      if (issued.size >= TICKETS_ISSUED_MAX) issued.delete(issued.keys().next().value!)
      issued.set(toHex(jobId), signed.signature)
      appendTicket(encodeTicket({ jobId, ticket: signed })).catch((error: unknown) => {
        log.debug('ticket not logged on its own; its receipt brings it', { code: toTriforceError(error).code })
      })
    },
    appendReceipt: async (receipt) => {
      const admitted = admitReceipt(receipt, admission)
      return await append(admitted.receipt, admitted.ticket)
    },

    account: (id) => accountOf(state, toHex(id)),
    accounts: () => accountsOf(state),
    apiKey: (publicKey) => apiKeyOf(state, toHex(publicKey)),
    apiKeys: (account) => apiKeysOf(state, toHex(account)),
    receipt: async (id) => await receipts.record(id),
    receiptFile: async (id) => await receipts.file(id),
    receipts: async (filter) => await receipts.list(filter),

    heads: () => {
      const heads = [...store.tails.values()].map(({ log: id, no, tree, hash }): LogHead => ({ ...id, frames: no, entries: tree.size, hash }))
      for (const index of hubKeys.keys()) {
        if (newestTailOf(index) === undefined) heads.push({ hub: index, epoch: 0, frames: 0, entries: 0, hash: new Uint8Array(32) })
      }
      return heads.sort((a, b) => a.hub - b.hub || a.epoch - b.epoch)
    },
    get writable() { return ownLog.writable && failure === undefined },
    whenWritable: async ({ signal }) => {
      signal.throwIfAborted()
      if (failure !== undefined) throw failure
      if (ownLog.writable) return
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => { reject(signal.reason as Error) }
        signal.addEventListener('abort', onAbort, { once: true })
        openWaiters.push(() => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        })
      })
      if (failure !== undefined) throw failure
    },
    sync: exchange.sync,
    close: async () => {
      for (const index of hubKeys.keys()) exchange.sync.disconnected(index)
      await lane.idle()
      failure ??= new TriforceError('STOPPING')
      await ownLog?.close()
      writer.fail(failure)
      await lane.idle()
      await store.close()
    },
  }
}
