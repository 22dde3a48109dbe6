/**
 * The ledger of one hub: puts its parts together. What it promises stands in interface.ts, how in docs/ledger.md.
 *
 *   orders  → log-writer ─► commit-lane ─► store          (one synced batch)
 *   peers   → exchange   ─┘   │  └─► peers, callers        (once it is on the disk)
 *                             └─► live state → core (hub/) → orders, messages
 */
import { bytesEqual } from '../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import { HUBS_PER_FEDERATION, type Federation } from '../protocol/federation.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { publicKeyOf } from '../protocol/peer-key.ts'
import type { Clock, Log, Random, Signer } from '../protocol/ports.ts'
import { join } from 'node:path'
import { createAccountProofs } from './account-proofs.ts'
import { createAudit } from './audit.ts'
import { createCatchUp } from './catch-up.ts'
import { createCommitLane, type CommitLaneOptions } from './commit-lane.ts'
import { createConditions } from './conditions.ts'
import { createCoreDisk } from './core-disk.ts'
import { createCoreRunner } from './core-runner.ts'
import { createForwarding, type ForwardingOptions } from './forwarding.ts'
import { applyEntry } from './fold/apply.ts'
import { closeFrame } from './fold/frame-fold.ts'
import { createState, type LedgerState } from './fold/state.ts'
import { emptyTail, type CheckedFrame, type FoldableFrame, type FrameContext } from './frame.ts'
import { createCheckpoints, type CheckpointOptions } from './hub/checkpoint.ts'
import type { Intent } from './hub/events.ts'
import type { HubOptions } from './hub/hub-state.ts'
import type { ForkProof } from './hub/seal-documents.ts'
import { createSeal, type SealOptions } from './hub/seal.ts'
import { createHub } from './hub/step.ts'
import type { HubLedger } from './interface.ts'
import { createJobFacts } from './job-facts.ts'
import { createLogWriter, type LogWriterOptions, type SubmitOptions, type Submitted } from './log-writer.ts'
import { createOrders } from './orders.ts'
import { openStore, ownDamageOf } from './open-store.ts'
import { createOwnEnds, type OwnEndsOptions } from './own-ends.ts'
import { createOwnLog, type OwnLog, type OwnLogOptions } from './own-log.ts'
import { isPlanted } from './planted-bugs.ts'
import { createQuestions } from './questions.ts'
import { createExchange, type ExchangeOptions } from './reconcile/exchange.ts'
import { createReceipts } from './receipts.ts'
import { createRecentFrames } from './recent-frames.ts'
import { createSealing } from './sealing.ts'
import { createStatement } from './statement.ts'
import { createStatementFiles } from './statement-files.ts'
import { createStateLane } from './state-lane.ts'
import { createRuleChanges } from './rule-changes.ts'
import { createSpending } from './spending.ts'
import type { LedgerDisk } from './store/database.ts'
import { openHubFiles } from './store/hub-files.ts'
import { createLogStore, logName } from './store/log-store.ts'
import { openDatabase } from './store/open.ts'
import { logLabel } from './store/verification.ts'

export interface LedgerComponents {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The hub's node key. */
  readonly signer: Signer
  /** Default: `level` and files in `dir`. */
  readonly disk?: LedgerDisk
  /** Called once, with a look at the live state: for tests and the simulator, which change nothing in it. */
  readonly observe?: (live: () => LedgerState) => void
}

const realDisk: LedgerDisk = { openDatabase, openHubFiles }

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
  readonly ends?: OwnEndsOptions
  readonly ownLog?: Omit<OwnLogOptions, 'network' | 'hub'>
  readonly core?: Omit<HubOptions, 'network' | 'me' | 'state' | 'machines'>
  readonly seal?: Omit<SealOptions, 'rows' | 'nowMs'>
  readonly checkpoint?: Omit<CheckpointOptions, 'rows' | 'start'>
  readonly forwarding?: ForwardingOptions
}

/** Throws CONFIG_INVALID (folder in use, foreign or newer) and LOG_DAMAGED. */
export async function openLedger({ clock, random, log, signer, disk = realDisk, observe }: LedgerComponents, options: LedgerOptions): Promise<HubLedger> {
  const { dir, federation, hubIndex: me } = options
  const { network } = federation
  const hubKeys = federation.hubs.map(({ peerId }) => publicKeyOf(peerId)!)
  const hubNames = federation.hubs.map(({ name }) => name)
  if (hubKeys[me] === undefined || !bytesEqual(hubKeys[me], signer.publicKey)) {
    throw new TriforceError('CONFIG_INVALID', { hub: me }, { detail: "this node's key is not that of the hub it is to be in the federation file" })
  }
  const context: FrameContext = { network, hubKeys }
  const names = { network, hub: me }

  const files = await disk.openHubFiles(dir, names)
  const ends = await createOwnEnds({ clock, log, files }, options.ends)
  const store = createLogStore(await disk.openDatabase(join(dir, 'db'), (text) => { log.warn(text) }))
  const stateLane = createStateLane({ store, state: () => hub.state, onFolded, me })
  const opened = await openStore({ clock, log, store, stateLane }, { hub: me, context, hubNames }).catch(async (error: unknown) => {
    await store.close()
    throw error
  })

  /** False until writer and lane are there: before, only what is on the disk counts. */
  let wired = false
  const seal = createSeal({ ...context, signer, tailOf, ends: () => [...store.tails.values()].map(({ log: id, no }) => ({ log: id, no })) }, { ...options.seal, rows: opened.kept, nowMs: clock.now() })
  const checkpoints = createCheckpoints({ ...context, signer }, {
    ...options.checkpoint, rows: opened.kept, ...(opened.start === undefined ? {} : { start: opened.start }),
  })
  const hub = createHub({
    holdBack: federation.kind !== 'local', ...options.core, network, me, state: opened.state, machines: [seal.step, checkpoints.step],
  })
  observe?.(() => hub.state)
  const conditions = createConditions(clock)
  const recent = createRecentFrames()
  let failure: TriforceError | undefined
  let ownLog: OwnLog | undefined
  /** Own logs of which a peer has sent another history. */
  const forksSeen = new Set<string>()
  let openWaiters: (() => void)[] = []

  const writer = createLogWriter({
    clock, store, kick: () => { lane.kick() }, peers: () => exchange.greeted, peersHave: (id) => exchange.peersHave(id), seen: () => stateLane.seen(),
    apply: (encoded, at) => { applyEntry(hub.state, encoded, at) }, onBuilt, onShort: ({ account, unit, min, want }) => { core.run({ type: 'short', account, unit, min, want }) },
  }, { ...names, ...options.writer })

  const lane = createCommitLane({
    store, fold: (copies) => stateLane.take(copies), takeOwn, onFailed: fail,
    onDurable: (frames, kept) => {
      recent.add(frames)
      exchange.durable(frames)
      for (const frame of frames) {
        if (frame.log.hub !== me) continue
        writer.durable(frame)
        ownLog?.advanced(frame.tail)
      }
      if (kept.length > 0) coreDisk.kept(kept).then(exchange.limitsChanged, (error: unknown) => { fail(toTriforceError(error)) })
    },
  }, options.lane)

  wired = true

  const exchange = createExchange({
    store, lane, recent, log, context, clock,
    limitOf: (id) => seal.limitOf(hub.state, id),
    mayAck: (author) => seal.mayAck(author),
    onSeal: (id, signatures) => { core.run({ type: 'message', hub: id.hub, message: { t: 'sealCertificate', log: id, signatures: [...signatures] } }) },
    ownTail: (id) => {
      const tail = writer.tail
      return tail !== undefined && logName(tail.log) === logName(id) && tail.no >= lane.tailOf(id).no ? tail : undefined
    },
    isWriting: (id) => ownLog?.writable === true && writer.tail !== undefined && logName(writer.tail.log) === logName(id),
    onChange: () => { ownLog?.review() },
    onAcked: (id, no) => {
      writer.acked(id, no)
      if (id.hub === me) core.run({ type: 'replicated', log: id, frame: no })
    },
    onForked,
    onDamaged: fail,
    onConnected: (peer) => { core.run({ type: 'connected', hub: peer }) },
    onDisconnected: (peer) => {
      forwarding.disconnected(peer)
      core.run({ type: 'disconnected', hub: peer })
    },
    onMessage: (peer, message) => {
      if (message.t === 'ask' || message.t === 'answer') forwarding.receive(peer, message)
      else core.run({ type: 'message', hub: peer, message })
    },
  }, { ...names, ...options.exchange })

  const coreDisk = createCoreDisk({ log, store, recent, lane, ends, catchUp: createCatchUp({ clock, missing: () => exchange.missing }), run: (event) => { core.run(event) } }, opened.kept)
  const core = createCoreRunner({
    clock, log, hub, send: (peer, message) => { exchange.send(peer, message) }, append: appendForCore,
    keep: coreDisk.keep, putBlob: coreDisk.putBlob, loadOrphans: coreDisk.loadOrphans, retry: () => { writer.retry() }, truncate,
    load: (id, from, to, bytesMax) => { void coreDisk.load(id, from, to, bytesMax) }, proved: (account, proof) => { proofs.proved(account, proof) },
    compare: (peer, id, no) => { exchange.compare(peer, id, no) },
    heard,
  })
  const orders = createOrders({ hub, submit, forwarding: () => forwarding, conditions })
  const forwarding = createForwarding({
    clock, random, hubNames, send: (peer, message) => { exchange.send(peer, message) }, connected: (peer) => hub.connected.has(peer),
    serve: (request) => orders.serve(request),
  }, options.forwarding)
  const jobFacts = createJobFacts({ clock, hub, log, submit, signer }, { network })
  const spending = createSpending({ hub, submit, whenReplicated: (id, frame) => writer.whenReplicated(id, frame) })
  const ruleChanges = createRuleChanges({ clock, hub, submit, signer })
  const questions = createQuestions({ clock, hub, store })
  const proofs = createAccountProofs({ core: () => core })
  const receipts = createReceipts({ store }, { federation })

  ownLog = await createOwnLog({
    clock, random, log, signer, files, ends,
    ownTails: () => [...store.tails.values()].filter((tail) => tail.log.hub === me),
    hashOf: (id, no) => lane.hashOf(id, no),
    behind: () => exchange.ownLogsBehind(),
    sealedAt: (id) => seal.endOf(id),
    isFolded: (tail) => (hub.state.logs.get(logName(tail.log))?.frame ?? 0) >= tail.no,
    isForked: (id) => seal.isForked(hub.state, id) || forksSeen.has(logName(id)),
    peers: () => ({ connected: exchange.connected, compared: exchange.compared, heard: HUBS_PER_FEDERATION - 1 - seal.unheard }),
    onLost: () => { core.run({ type: 'forgot' }) },
    idle: () => lane.idle(),
    openLog: (tail, logSigner, first) => {
      writer.open(tail, logSigner, first)
      core.run({ type: 'writing', log: tail.log })
    },
    pauseLog: () => {
      writer.pause()
      core.run({ type: 'writing', log: undefined })
    },
  }, { ...names, ...options.ownLog, ...ownDamageOf(opened.damages, me) }, { onOpen: wakeWaiters, onFailed: (error) => { fail(toTriforceError(error)) } })
    .catch(async (error: unknown) => {
      await store.close()
      throw error
    })
  store.repairWith((id, no) => exchange.fetchFrame(id, no), (id, no) => {
    log.warn(`frame ${no} of ${logLabel(id, hubNames)} was broken on this disk; it is taken from another hub and written again`)
  })
  if (coreDisk.lost && !opened.keptSpoilt) log.warn('rows that the ledger keeps beside its logs are missing or old; the other hubs are asked for them')
  if (coreDisk.lost || opened.keptSpoilt) core.run({ type: 'forgot' })
  core.start()

  function heard(): void {
    exchange.heard()
    ownLog?.review()
  }

  /** The end of a log with all frames that were accepted, on the disk or on their way there. */
  function tailOf(id: LogId) {
    if (!wired) return store.tails.get(logName(id)) ?? emptyTail(id)
    const own = writer.tail
    const known = lane.tailOf(id)
    return own !== undefined && logName(own.log) === logName(id) && own.no > known.no ? own : known
  }

  async function takeOwn(): Promise<CheckedFrame | undefined> {
    const frame = await writer.take()
    if (frame !== undefined && isPlanted('send-before-sync')) exchange.durable([frame])
    return frame
  }

  /** Its entries were applied one by one when they were decided. */
  function onBuilt(frame: CheckedFrame): void {
    closeFrame(hub.state, frame.header)
    hub.state.touched = new Set()
    onFolded(frame)
  }

  function onFolded({ log: id, header, entries, entryBytes }: FoldableFrame): void {
    core.run({
      type: 'folded', log: id, frame: header.no, tsMs: header.tsMs, entries: entries.map((entry, index) => ({ entry, bytes: entryBytes[index]! })),
    })
    conditions.check()
    // The own log may wait to be whole in the state.
    if (id.hub === me && ownLog?.writable === false) ownLog.review()
  }

  /**
   * Nobody waits for it; the core asks again where it matters. It may come while the log is being opened, before callers
   * may write: what a former process left open is settled then.
   */
  function appendForCore(intent: Intent): void {
    if (failure !== undefined) return
    writer.submit(intent).catch((error: unknown) => {
      const { code, message } = toTriforceError(error)
      if (code !== 'LEDGER_READ_ONLY' && code !== 'STOPPING') log.debug('an entry of the ledger itself was not logged', { code, problem: message })
    })
  }

  /** Frames of the log after this one do not count: they are moved aside, and everything else is folded anew. */
  function truncate(id: LogId, frame: number): void {
    // Where it is the own log, nothing may be built on its end any more.
    ownLog?.review()
    lane.between(async () => {
      await store.truncate(id, frame)
      recent.clear()
      writer.cut(id)
      exchange.truncated(id)
      const state = createState(network, hubKeys)
      await stateLane.foldStored(state)
      stateLane.reset()
      core.run({ type: 'refolded', state })
      conditions.check()
      ownLog?.review()
    })
  }

  function wakeWaiters(): void {
    const waiters = openWaiters
    openWaiters = []
    for (const wake of waiters) wake()
  }

  function onForked(id: LogId, no: number, proof: ForkProof | undefined, from: number): void {
    if (proof !== undefined) core.run({ type: 'forked', ...proof, from })
    // Two hubs have agreed on one of the histories: what is left of the other one goes.
    if (seal.endOf(id) !== undefined) return
    const detail = `two versions of ${logLabel(id, hubNames)} exist, from frame ${no} on: it was written from two copies of its folder`
    log.error(detail, { log: logName(id), frame: no })
    if (id.hub !== me) return
    forksSeen.add(logName(id))
    ownLog?.review()
  }

  function fail(error: TriforceError): void {
    if (failure !== undefined) return
    failure = error
    log.error(error.message, { code: error.code })
    core.stop()
    ownLog?.stop()
    writer.fail(error)
    wakeWaiters()
    options.onFailed?.(error)
  }

  async function submit(intent: Intent, how?: SubmitOptions): Promise<Submitted> {
    if (failure !== undefined) throw failure
    if (ownLog?.writable !== true) throw new TriforceError('LEDGER_READ_ONLY')
    return await writer.submit(intent, how)
  }

  return {
    openAccount: orders.openAccount,
    addKey: orders.addKey,
    revokeKey: orders.revokeKey,
    grant: orders.grant,
    purchase: orders.purchase,
    chargeback: orders.chargeback,
    setTier: orders.setTier,
    ...spending,
    ...jobFacts,
    ...questions,
    ...ruleChanges,
    ...createAudit({ hub, store }, context),
    ...createStatement({ hub, store }),
    ...createStatementFiles({ hub, store, proofs }, { federation }),
    ...createSealing({ hub, conditions, core }),

    payWhere: (mayPay) => { hub.mayPay = mayPay },
    receipt: async (id) => await receipts.record(id),
    receiptFile: async (id) => await receipts.file(id),
    receipts: async (filter) => await receipts.list(filter),

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
      core.stop()
      for (const index of hubKeys.keys()) exchange.sync.disconnected(index)
      await lane.idle()
      failure ??= new TriforceError('STOPPING')
      conditions.close()
      proofs.close()
      await ownLog?.close()
      writer.fail(failure)
      await lane.idle()
      files.close()
      await store.close()
    },
  }
}
