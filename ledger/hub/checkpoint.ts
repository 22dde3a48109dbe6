/**
 * Checkpoints: hubs in turn propose what all logs give up to certain frames; who comes to the same signs too. A proposer's
 * and one other signature make a checkpoint final. The state at the newest final one is what pay is computed from.
 *
 * - Round r belongs to hub r mod 3, which proposes once in it; a round that brings nothing is skipped after a while.
 * - A hub signs rounds in ascending order, and only states that have all frames of the one that it signed before. Of two
 *   final checkpoints one hub has signed both, so the later one has all frames of the earlier one.
 * - A signature is on the disk before it is sent, so a hub that starts anew keeps to this.
 *
 * Spec: docs/ledger.md#checkpoints
 */
import { bytesEqual } from '../../protocol/bytes.ts'
import type { Signer } from '../../protocol/ports.ts'
import {
  checkpointBytes, checkpointSigned, contentDifferences, covers, encodeFinal, framesOf, NO_CHECKPOINT_HASH, openFinal, signCheckpoint,
  type Checkpoint, type CheckpointContent, type Cosignature, type FinalCheckpoint, type Frontiers,
} from '../checkpoint/checkpoint.ts'
import { createFinalFold, sumProblems, type FinalFold, type FoldStart } from '../checkpoint/final-fold.ts'
import { createSnapshotTurns, type SnapshotTurn } from '../checkpoint/snapshot-turns.ts'
import type { FrameContext } from '../frame.ts'
import { createProofQueue } from './checkpoint-proofs.ts'
import { driftText, finalMessage, proposalMessage, proposerOf, readProposal, type Proposal } from './checkpoint-proposal.ts'
import { candidateFrames, capped, checkpointFinalKey, checkpointSignedKey, encodeSigned, joined, liveFrames, readCheckpointRows, sameFrames, takesPlaceOf } from './checkpoint-rows.ts'
import { createRounds } from './checkpoint-rounds.ts'
import type { HubEffect, HubEvent, HubMessage } from './events.ts'
import { hasPassed } from './has-passed.ts'
import type { HubMachine, HubState } from './hub-state.ts'

export interface CheckpointComponents extends FrameContext {
  /** The hub's node key. */
  readonly signer: Signer
}

export interface CheckpointOptions {
  /** Rows of the store whose key begins with `checkpointRowPrefix`. */
  readonly rows: ReadonlyMap<string, Uint8Array>
  /** A restored snapshot (checkpoint/snapshot.ts), in an instance of its own; without one the logs are folded anew. */
  readonly start?: FoldStart & { readonly round: number; readonly slot: number }
  /** A checkpoint is due this long after the last where something was logged since. Default 1,000. */
  readonly everyMs?: number
  /** ... and where nothing was. Default 60,000. */
  readonly idleMs?: number
  /** A round without a final checkpoint is given up after this. Default 3,000. */
  readonly skipMs?: number
  /** Frames that come between two snapshots, at least. Default 20,000. */
  readonly snapshotFrames?: number
  /** Frames are loaded in batches of so many bytes, which bounds memory and the time of one step. Default 256 KiB. */
  readonly loadBytesMax?: number
}

export const checkpointDefaults = Object.freeze({ everyMs: 1_000, idleMs: 60_000, skipMs: 3_000, snapshotFrames: 20_000, loadBytesMax: 256 * 1024 })

/** Frames that did not come are asked for again. */
const LOAD_AGAIN_MS = 5_000
/** Warnings of one kind are not repeated sooner. */
const WARN_AGAIN_MS = 60_000

export interface CheckpointMachine {
  readonly step: HubMachine
  /** The newest checkpoint that is known to be final, and on the disk. */
  readonly latest: FinalCheckpoint | undefined
}

type Task =
  | { readonly is: 'confirm'; readonly target: Frontiers; readonly final: FinalCheckpoint }
  | { readonly is: 'check'; readonly target: Frontiers; readonly proposal: Proposal }
  | { readonly is: 'propose'; readonly target: Frontiers; readonly round: number }

/** `from`: the hub that knows of it already. `cosigned`: this hub's signature, which that hub waits for. */
interface Kept { readonly final: FinalCheckpoint; readonly from?: number; readonly cosigned?: Cosignature }

type Saving =
  | { readonly key: typeof checkpointSignedKey; readonly proposal: Proposal }
  | ({ readonly key: typeof checkpointFinalKey } & Kept)

export function createCheckpoints(components: CheckpointComponents, options: CheckpointOptions): CheckpointMachine {
  const { signer, network, hubKeys } = components
  const context: FrameContext = { network, hubKeys }
  const { everyMs, idleMs, skipMs, snapshotFrames, loadBytesMax } = { ...checkpointDefaults, ...options }
  const me = hubKeys.findIndex((key) => bytesEqual(key, signer.publicKey))
  const stored = readCheckpointRows(options.rows, me, context)

  let fold: FinalFold = createFinalFold(context, options.start)
  let final = stored.final
  /** Round of the final checkpoint that this hub has compared with its own state. */
  let compared = -1
  let signed = stored.signed
  /** This hub's newest proposal. */
  let mine: Proposal | undefined
  const rounds = createRounds({ me, everyMs, idleMs, skipMs }, { round: Math.max(signed.round, final?.checkpoint.round ?? 0) + 1, finalAtMs: final?.checkpoint.timeMs ?? 0 })
  let task: Task | undefined
  let loading: { readonly name: string; readonly atMs: number } | undefined
  let saving: Saving | undefined
  /** A final checkpoint that was heard of while another one was being kept. */
  let heard: Kept | undefined
  const proposals = new Map<number, Proposal>()
  const replicated = new Map<string, number>()
  const warned = new Map<string, number>()
  const proofs = createProofQueue()
  const snapshots = createSnapshotTurns({ framesBetween: snapshotFrames, last: options.start })
  let snapshot: SnapshotTurn | undefined
  let failed = false

  const tell = (hub: HubState, message: HubMessage, except?: number): HubEffect[] =>
    [...hub.connected].filter((peer) => peer !== except).map((peer) => ({ type: 'send', hub: peer, message }))

  function warn(kind: string, text: string, nowMs: number): HubEffect[] {
    if (nowMs - (warned.get(kind) ?? -Infinity) < WARN_AGAIN_MS) return []
    warned.set(kind, nowMs)
    return [{ type: 'warn', text }]
  }

  /** Frames that a checkpoint must have for this hub to sign it. What a seal cut off cannot be asked for. */
  const required = (hub: HubState) => capped(hub.state, joined(signed.frames, final === undefined ? new Map() : framesOf(final.checkpoint)))

  const isDue = (hub: HubState, nowMs: number) => (
    rounds.isDue(hub, () => final === undefined || !covers(framesOf(final.checkpoint), candidateFrames(hub, me, replicated)), nowMs))

  function restart(hub: HubState): void {
    fold = createFinalFold(context)
    task = undefined
    loading = undefined
    snapshot = undefined
    compared = -1
    hub.final = undefined
    proposals.clear()
  }

  /** What is to be done next, if anything can be. */
  function nextTask(hub: HubState, nowMs: number): Task | undefined {
    if (final !== undefined && compared < final.checkpoint.round) {
      const target = framesOf(final.checkpoint)
      if (covers(target, fold.frames) && covers(liveFrames(hub.state), target)) return { is: 'confirm', target, final }
    }
    for (const [from, proposal] of [...proposals].sort(([, a], [, b]) => b.checkpoint.round - a.checkpoint.round)) {
      const { checkpoint, frames } = proposal
      const hopeless = checkpoint.round <= Math.max(signed.round, final?.checkpoint.round ?? 0) || !covers(frames, required(hub)) || !covers(frames, fold.frames)
      if (hopeless) proposals.delete(from)
      // Else its frames, or the final checkpoint before it, are still on their way.
      else if (bytesEqual(checkpoint.prev, final?.hash ?? NO_CHECKPOINT_HASH) && covers(liveFrames(hub.state), frames)) {
        proposals.delete(from)
        return { is: 'check', target: frames, proposal }
      }
    }
    const round = rounds.now
    const myTurn = proposerOf(round) === me && round > signed.round && hub.connected.size > 0
    if (!myTurn || !isDue(hub, nowMs)) return undefined
    const target = joined(joined(candidateFrames(hub, me, replicated), fold.frames), required(hub))
    return covers(liveFrames(hub.state), target) ? { is: 'propose', target, round } : undefined
  }

  const isWaiting = () => saving !== undefined || loading !== undefined || snapshot !== undefined

  /** Goes on with what is under way until something has to be waited for. */
  function goOn(hub: HubState, nowMs: number): HubEffect[] {
    const effects: HubEffect[] = []
    while (!isWaiting()) {
      task ??= nextTask(hub, nowMs)
      if (task === undefined) return effects
      if (!sameFrames(task.target, fold.frames)) hub.final = undefined
      const progress = fold.advance(task.target)
      if (progress.is === 'load') {
        loading = { name: `${progress.log.hub}/${progress.log.epoch}`, atMs: nowMs }
        effects.push({ type: 'load', log: progress.log, from: progress.from, to: progress.to, bytesMax: loadBytesMax })
        return effects
      }
      const done = task
      task = undefined
      if (progress.is === 'reached') effects.push(...reached(hub, done, nowMs))
      else if (done.is === 'confirm') compared = done.final.checkpoint.round
      // A turn that brings no proposal is over: it is not begun again and again.
      if (done.is === 'propose' && saving === undefined) rounds.atLeast(done.round + 1)
      if (progress.is === 'stuck') effects.push(...warn('stuck', `a checkpoint cannot be computed: ${progress.problem}`, nowMs))
    }
    return effects
  }

  function reached(hub: HubState, done: Task, nowMs: number): HubEffect[] {
    const content = fold.content()
    const broken = sumProblems(content)
    switch (done.is) {
      case 'propose':
        if (broken.length > 0) return warn('sums', `no checkpoint is proposed, for the sums of this hub's state are wrong: ${broken.join('; ')}`, nowMs)
        return done.round > signed.round ? propose(content, done.round, nowMs) : []
      case 'check':
        return check(done.proposal, content, broken, nowMs)
      case 'confirm':
        return confirm(hub, done.final, content, nowMs)
    }
  }

  function propose(content: CheckpointContent, of: number, nowMs: number): HubEffect[] {
    const timeMs = Math.max(nowMs, (final?.checkpoint.timeMs ?? 0) + 1)
    const checkpoint: Checkpoint = { network, round: of, prev: final?.hash ?? NO_CHECKPOINT_HASH, timeMs, ...content }
    const body = checkpointBytes(checkpoint)
    const proposal: Proposal = { body, checkpoint, frames: framesOf(checkpoint), cosignature: { hub: me, signature: signCheckpoint(signer, body) } }
    signed = { round: of, frames: proposal.frames }
    saving = { key: checkpointSignedKey, proposal }
    return [{ type: 'persist', key: checkpointSignedKey, value: encodeSigned(body, proposal.cosignature) }]
  }

  function check(proposal: Proposal, content: CheckpointContent, broken: readonly string[], nowMs: number): HubEffect[] {
    const { body, checkpoint, frames, cosignature } = proposal
    // A hub may have signed a later round while this one's frames were folded.
    if (checkpoint.round <= signed.round || !bytesEqual(checkpoint.prev, final?.hash ?? NO_CHECKPOINT_HASH)) return []
    const differences = [...contentDifferences(checkpoint, content), ...broken]
    if (differences.length > 0) return warn('drift', driftText(cosignature.hub, checkpoint, differences), nowMs)
    const own: Cosignature = { hub: me, signature: signCheckpoint(signer, body) }
    signed = { round: checkpoint.round, frames }
    return keepFinal({ final: openFinal(body, [cosignature, own], context), from: cosignature.hub, cosigned: own })
  }

  function keepFinal(next: Kept): HubEffect[] {
    if (!takesPlaceOf(next.final, final)) return []
    if (saving !== undefined) {
      if (takesPlaceOf(next.final, heard?.final)) heard = next
      return []
    }
    saving = { key: checkpointFinalKey, ...next }
    return [{ type: 'persist', key: checkpointFinalKey, value: encodeFinal(next.final) }]
  }

  /** The final checkpoint against what its frames give here; only where both are the same is it used. */
  function confirm(hub: HubState, { checkpoint, signatures }: FinalCheckpoint, content: CheckpointContent, nowMs: number): HubEffect[] {
    compared = checkpoint.round
    const differences = contentDifferences(checkpoint, content)
    if (differences.length > 0) {
      return warn('drift', driftText(signatures.find(({ hub: by }) => by !== me)!.hub, checkpoint, differences), nowMs)
    }
    hub.final = { round: checkpoint.round, state: fold.state }
    snapshot = final === undefined ? undefined : snapshots.turn(final, fold)
    return [...answerProofs(hub), ...snapshot?.next() ?? []]
  }

  /** Only while the final state stands at the newest final checkpoint. */
  function answerProofs(hub: HubState): HubEffect[] {
    return final !== undefined && hub.final?.round === final.checkpoint.round ? proofs.answer(final, fold) : []
  }

  function onPersisted(hub: HubState, key: string, nowMs: number): HubEffect[] {
    if (snapshot?.key === key) {
      const effects = snapshot.next()
      if (effects.length === 0) snapshot = undefined
      return effects
    }
    if (saving?.key !== key) return []
    const done = saving
    saving = undefined
    const effects: HubEffect[] = []
    if (done.key === checkpointSignedKey) {
      mine = done.proposal
      // Where rounds were skipped, somebody may have missed the last final one.
      if (final !== undefined && final.checkpoint.round !== mine.checkpoint.round - 1) effects.push(...tell(hub, finalMessage(final)))
      effects.push(...tell(hub, proposalMessage(mine)))
    } else {
      if (isKnown(done.final.checkpoint.round)) {
        compared = -1
        hub.final = undefined
      }
      final = done.final
      rounds.final(final.checkpoint.round, nowMs)
      if (done.cosigned !== undefined && done.from !== undefined) {
        effects.push({ type: 'send', hub: done.from, message: { t: 'cosign', round: final.checkpoint.round, signature: done.cosigned.signature } })
      }
      effects.push(...tell(hub, finalMessage(final), done.from))
    }
    const next = heard
    heard = undefined
    return next === undefined ? effects : [...effects, ...keepFinal(next)]
  }

  function onCosign(from: number, { round: of, signature }: Extract<HubMessage, { t: 'cosign' }>, nowMs: number): HubEffect[] {
    if (mine === undefined || mine.checkpoint.round !== of || isKnown(of)) return []
    const cosignature: Cosignature = { hub: from, signature }
    if (!checkpointSigned(mine.body, cosignature, context)) return warn('cosign', `hub ${from} sent a false signature under a checkpoint`, nowMs)
    return keepFinal({ final: openFinal(mine.body, [mine.cosignature, cosignature], context) })
  }

  function onFinal(from: number, { body, signatures }: Extract<HubMessage, { t: 'final' }>, nowMs: number): HubEffect[] {
    let next: FinalCheckpoint
    try {
      next = openFinal(body, signatures, context)
    } catch {
      return warn('final', `hub ${from} sent a checkpoint that two hubs have not signed`, nowMs)
    }
    if (final !== undefined && takesPlaceOf(final, next)) return [{ type: 'send', hub: from, message: finalMessage(final) }]
    return keepFinal({ final: next, from })
  }

  function isKnown(of: number): boolean {
    return final !== undefined && of <= final.checkpoint.round
  }

  function onProposal(from: number, message: Extract<HubMessage, { t: 'checkpoint' }>, nowMs: number): HubEffect[] {
    const read = readProposal(from, message, context, { nowMs, lastMs: final?.checkpoint.timeMs })
    if (!read.ok) return warn(read.kind, read.text, nowMs)
    const { proposal } = read
    const { checkpoint } = proposal
    const effects: HubEffect[] = []
    if (final !== undefined && !bytesEqual(checkpoint.prev, final.hash)) effects.push({ type: 'send', hub: from, message: finalMessage(final) })
    if (checkpoint.round <= signed.round) {
      // The proposer counts rounds behind this hub's: a later proposal sets it right.
      return mine !== undefined && !isKnown(mine.checkpoint.round) ? [...effects, { type: 'send', hub: from, message: proposalMessage(mine) }] : effects
    }
    rounds.proposed(checkpoint.round, nowMs)
    proposals.set(from, proposal)
    return effects
  }

  function onTick(hub: HubState, nowMs: number): HubEffect[] {
    if (loading !== undefined && hasPassed(LOAD_AGAIN_MS, { sinceMs: loading.atMs, nowMs })) loading = undefined
    rounds.atLeast(signed.round + 1)
    rounds.tick(hub, isDue(hub, nowMs), nowMs)
    return proofs.giveUp(nowMs)
  }

  function onConnected(from: number): HubEffect[] {
    const messages = [...final === undefined ? [] : [finalMessage(final)], ...mine === undefined || isKnown(mine.checkpoint.round) ? [] : [proposalMessage(mine)]]
    return messages.map((message) => ({ type: 'send', hub: from, message }))
  }

  function onLoaded(hub: HubState, event: Extract<HubEvent, { type: 'loaded' }>, nowMs: number): HubEffect[] {
    if (loading?.name !== `${event.log.hub}/${event.log.epoch}`) return []
    // Not on the disk yet: asked for again with the next tick.
    if (event.frames.length === 0) loading = { ...loading, atMs: -Infinity }
    if (event.frames.length === 0) return []
    loading = undefined
    const problem = fold.take(event.log, event.from, event.frames, { signed: true })
    if (problem === undefined) return []
    restart(hub)
    return warn('frames', `the final state is folded anew: ${problem}`, nowMs)
  }

  function onEvent(hub: HubState, event: HubEvent, nowMs: number): HubEffect[] {
    switch (event.type) {
      case 'connected':
        return onConnected(event.hub)
      case 'disconnected':
        proposals.delete(event.hub)
        return []
      case 'message':
        if (event.message.t === 'checkpoint') return onProposal(event.hub, event.message, nowMs)
        if (event.message.t === 'cosign') return onCosign(event.hub, event.message, nowMs)
        return event.message.t === 'final' ? onFinal(event.hub, event.message, nowMs) : []
      case 'replicated':
        replicated.set(`${event.log.hub}/${event.log.epoch}`, event.frame)
        return []
      case 'refolded':
        // Frames that the final state has are gone: it cannot go back, so it begins anew.
        if (!covers(liveFrames(event.state), fold.frames)) restart(hub)
        return []
      case 'persisted':
        return onPersisted(hub, event.key, nowMs)
      case 'loaded':
        return onLoaded(hub, event, nowMs)
      case 'prove':
        return [...proofs.ask(event.account, nowMs), ...answerProofs(hub)]
      case 'tick':
        return onTick(hub, nowMs)
      case 'folded':
      case 'writing':
      case 'short':
      case 'seal':
      case 'forked':
      case 'orphans':
      case 'forgot':
      case 'vest':
        return []
    }
  }

  return {
    step: (hub, event, nowMs) => {
      if (failed) return event.type === 'prove' ? [{ type: 'proved', account: event.account, proof: undefined }] : []
      try {
        const effects = onEvent(hub, event, nowMs)
        return [...effects, ...goOn(hub, nowMs)]
      } catch (error) {
        // The same frames gave a state before: this instance is broken, and what it would say of money is not to be used.
        failed = true
        hub.final = undefined
        const text = error instanceof Error ? error.message : String(error)
        return [...proofs.giveUp(Infinity), { type: 'warn', text: `no more checkpoints from this hub until it is started again: ${text}. If that comes back, run "triforce admin audit"` }]
      }
    },
    get latest() { return final },
  }
}
