/**
 * When may this hub write, and to which log?
 *
 * - It goes on with its log where the log is whole: its database reaches the anchor and the marker, the key is there, and a peer has
 *   nothing newer. With no peer connected it goes on alone after `aloneWaitMs` only where nothing but the process was
 *   restarted: the marker of this run of the machine names the end of the log. An older copy of the folder looks whole too.
 * - An empty folder may be a lost one, so the first log also waits for a peer.
 * - A log that the other hubs have sealed is cut where it was sealed and followed by a new one.
 * - Where anything of its log was lost, it first takes back what both peers have of it and never continues that log: the
 *   lost end may be in somebody's hands. It opens a new epoch, with a new key.
 * - Overtaken once, its folder was an old copy. Overtaken again, another process writes with the hub's key: each would open
 *   epoch after epoch to outdo the other, until the peers take no more (LOG_EPOCHS_MAX). So it fails.
 * Spec: docs/ledger.md#recovery
 */
import { bytesEqual } from '../protocol/bytes.ts'
import { createSigner, SEED_BYTES } from '../protocol/crypto.ts'
import { TriforceError } from '../protocol/errors.ts'
import { HUBS_PER_FEDERATION } from '../protocol/federation.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { LOG_EPOCHS_MAX } from '../protocol/messages/ledger-fields.ts'
import type { Clock, Log, Random, Signer } from '../protocol/ports.ts'
import { signDocument } from '../protocol/signed.ts'
import type { EpochKey } from './entries/control.ts'
import { encodeEntry, type EncodedEntry } from './entries/entry.ts'
import { emptyTail, type LogTail } from './frame.ts'
import type { OwnEnds } from './own-ends.ts'
import type { EpochKeyFile, HubFiles, LogEnd } from './store/hub-files.ts'
import { isPlanted } from './planted-bugs.ts'

export interface OwnLogComponents {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The hub's node key: certifies the keys of its logs. */
  readonly signer: Signer
  readonly files: Pick<HubFiles, 'readEpochKey' | 'writeEpochKey'>
  readonly ends: OwnEnds
  /** Ends of this hub's logs, in any order. */
  readonly ownTails: () => readonly LogTail[]
  /** Hash of a stored frame. */
  readonly hashOf: (log: LogId, no: number) => Promise<Uint8Array | undefined>
  /** Own logs of which a peer has more, or another version. */
  readonly behind: () => readonly LogId[]
  /** Where a log was sealed by the other hubs; undefined for all others. */
  readonly sealedAt: (log: LogId) => { readonly no: number } | undefined
  /** Is all that is stored of this log in the state? Copies that it rests on may have been lost and still be on their way. */
  readonly isFolded: (tail: LogTail) => boolean
  /** True where this log has two histories: another hub has proved it, or a peer has sent the other one. */
  readonly isForked: (log: LogId) => boolean
  /** `heard`: hubs that have told what they hold since the disk lost something; all where it never did. */
  readonly peers: () => { readonly connected: number; readonly compared: number; readonly heard: number }
  /** This disk has lost something: the other hubs must tell what it may have held. */
  readonly onLost: () => void
  /** Resolves when everything that was taken is on the disk. */
  readonly idle: () => Promise<void>
  readonly openLog: (tail: LogTail, signer: Signer, first?: EncodedEntry) => void
  readonly pauseLog: () => void
}

export interface OwnLogOptions {
  readonly network: string
  readonly hub: number
  /** Default 3,000 ms: three hubs that start together have met by then. */
  readonly aloneWaitMs?: number
  /** How long a hub that has not written since its start, and whose log has two histories, waits to hear that it was sealed. Default 10,000 ms. */
  readonly sealWaitMs?: number
  /** An empty folder may begin a log with no peer, though it may be a lost one. For a hub that has no others. Default false. */
  readonly mayBeginAlone?: boolean
  /** Peers that must say what they have before this hub opens its very first log, or a new one after a loss. Default 2: both. */
  readonly firstLogPeers?: number
  /** The own log as far as it is stored, where frames of it are broken. `end`: its last frame, if only frames before that are. */
  readonly damage?: { readonly log: LogId; readonly end: { readonly no: number; readonly hash: Uint8Array } | undefined }
}

export const ownLogDefaults = Object.freeze({ aloneWaitMs: 3_000, sealWaitMs: 10_000, mayBeginAlone: false, firstLogPeers: HUBS_PER_FEDERATION - 1 })

export interface OwnLog {
  readonly writable: boolean
  /** Looks again whether the log may be opened, or must be closed. */
  review(): void
  /** The own log reaches further on the disk. */
  advanced(tail: LogTail): void
  /** Never writes again. */
  stop(): void
  /** Writes the anchor a last time. */
  close(): Promise<void>
}

/** `onOpen` is called each time the log becomes writable, `onFailed` where it can never be written again by this process. */
export async function createOwnLog(
  components: OwnLogComponents, options: OwnLogOptions,
  { onOpen, onFailed }: { readonly onOpen: () => void; readonly onFailed: (error: unknown) => void },
): Promise<OwnLog> {
  const { clock, random, log, signer, files, ends, ownTails, hashOf, behind, sealedAt, isFolded, isForked, peers, onLost, idle, openLog, pauseLog } = components
  const { network, hub, aloneWaitMs, sealWaitMs, mayBeginAlone, firstLogPeers, damage } = { ...ownLogDefaults, ...options }
  const { anchor, marker } = ends
  let key = await files.readEpochKey()
  /** Only the process was away: this disk cannot be an older copy of itself. */
  const undisturbed = await isUndisturbed()
  /** True from the first sign that the disk lost something until a new log is open. */
  let lost = isDamaged() || await isShort() || peers().heard < HUBS_PER_FEDERATION - 1
  let state: 'closed' | 'opening' | 'open' | 'stopped' = 'closed'
  let openEpoch: number | undefined
  /** A peer turned up with more of this hub's logs while this process wrote. */
  let overtaken = false
  let waitedAlone = false
  let waitedForSeal = false
  let cancelSealWait: (() => void) | undefined
  if (lost && damage?.end !== undefined) log.warn('frames of the own log are broken on this disk; they are taken back from the other hubs')
  else if (lost) log.warn('the own log lost frames on this disk; it is taken back from the other hubs and then goes on in a new epoch')

  /** The other hubs were told of the loss. */
  let forgotten = false
  // Nothing there may be everything lost. Where only frames before the end are broken they may come back, and nothing is.
  if (newestTail() === undefined ? !mayBeginAlone : lost && damage?.end === undefined || await isShort()) forget()

  const cancelWait = clock.after(aloneWaitMs, () => {
    waitedAlone = true
    if (newestTail() === undefined && !hasHeard()) {
      log.warn('this hub has no log yet and waits for both other hubs: a hub writes for the first time only when both say that it never did')
    } else if (lost && peers().connected > 0 && !hasHeard()) {
      log.warn('the own log lost frames on this disk: this hub writes again when both other hubs have told what they have of it')
    } else if (peers().connected === 0 && !mayGoAlone()) {
      log.warn(`${lost ? 'the own log lost frames on this disk' : 'this hub was restarted'} and no other hub is connected: it cannot write until one is`)
    }
    own.review()
  })

  function newestTail(): LogTail | undefined {
    return ownTails().reduce<LogTail | undefined>((newest, tail) => newest === undefined || tail.log.epoch > newest.log.epoch ? tail : newest, undefined)
  }

  /** Damage of an older log is no loss: it is fetched again like any copy. */
  function isDamaged(): boolean {
    return damage !== undefined && damage.log.epoch >= (newestTail()?.log.epoch ?? 0)
  }

  /** The database ends before the anchor or the marker, or has another history than one of them. */
  async function isShort(): Promise<boolean> {
    const newest = newestTail()
    if (isPlanted('anchor-ignored')) return false
    if (anchor === undefined) return newest !== undefined
    if (anchor.no === 0 ? newest !== undefined && newest.log.epoch > anchor.epoch : !await reaches(newest, anchor)) return true
    // The anchor follows the log at a distance; within one run of the machine the marker knows more.
    return marker !== undefined && marker.no > 0 && !((newest?.log.epoch ?? 0) > marker.epoch || await reaches(newest, marker))
  }

  async function isUndisturbed(): Promise<boolean> {
    const newest = newestTail()
    // It is written behind every frame, so at the end of a process it may lack the last one.
    if (marker?.no === 0) return newest?.log.epoch === marker.epoch
    return marker !== undefined && reaches(newest, marker)
  }

  async function reaches(tail: LogTail | undefined, end: LogEnd): Promise<boolean> {
    if (tail === undefined || tail.log.epoch !== end.epoch || tail.no < end.no) return false
    const hash = await hashOf(tail.log, end.no)
    return hash !== undefined && bytesEqual(hash, end.hash)
  }

  function mayGoAlone(): boolean {
    return !lost && (undisturbed || mayBeginAlone && newestTail() === undefined && anchor === undefined)
  }

  /**
   * A log that begins anew names the one before it, and a hub's very first log begins with rights of its own. So where
   * something was lost, or nothing is there, both others must say what they have: one alone may have missed the last of it.
   */
  function hasHeard(): boolean {
    const { compared, heard } = peers()
    if (!lost && newestTail() !== undefined) return compared > 0
    return compared > 0 && (firstLogPeers < HUBS_PER_FEDERATION - 1 ? compared >= firstLogPeers : heard >= firstLogPeers)
  }

  function forget(): void {
    if (forgotten || firstLogPeers < HUBS_PER_FEDERATION - 1) return
    forgotten = true
    onLost()
  }

  function lose(): void {
    lost = true
    forget()
  }

  /** Only frames in the middle were broken, and they are back: the log is what it was. */
  async function isMended(): Promise<boolean> {
    const newest = newestTail()
    const end = damage?.end
    if (end === undefined || overtaken || newest?.log.epoch !== damage?.log.epoch || newest?.no !== end.no) return false
    return bytesEqual(newest.hash, end.hash) && !await isShort()
  }

  /** The log that can be continued, with its key. */
  function continuable(file: EpochKeyFile | undefined): { readonly tail: LogTail; readonly signer: Signer } | undefined {
    const tail = newestTail()
    if (lost && !isPlanted('lost-log-continued') || file === undefined || tail?.epochKey === undefined || tail.log.epoch !== file.epoch || sealedAt(tail.log) !== undefined) return undefined
    const logSigner = createSigner(file.seed)
    return bytesEqual(logSigner.publicKey, tail.epochKey.key) ? { tail, signer: logSigner } : undefined
  }

  async function open(): Promise<void> {
    await idle()
    if (state !== 'opening') return
    if (lost && await isMended()) {
      lost = false
      log.info('the own log is whole again')
    }
    if (lost) forget()
    if (lost && !hasHeard() && !isPlanted('lost-log-continued')) {
      // Somebody whom this hub has not met since may have more of it.
      state = 'closed'
      return
    }
    const newest = newestTail()
    const sealed = newest === undefined ? undefined : sealedAt(newest.log)
    if (newest !== undefined && sealed !== undefined && newest.no !== sealed.no) {
      // It is being cut, or comes in again; whoever does that has this looked at again.
      state = 'closed'
      return
    }
    const known = continuable(key)
    if (newest !== undefined && !isFolded(newest)) {
      // What is decided now would not know what this very log says; whoever folds the rest has this looked at again.
      state = 'closed'
      return
    }
    if (known === undefined) await openNewEpoch()
    else openLog(known.tail, known.signer)
    openEpoch = known?.tail.log.epoch ?? openEpoch
    // `stop` may have come while the files were written.
    if (state !== 'opening') {
      pauseLog()
      return
    }
    state = 'open'
    lost = false
    forgotten = false
    onOpen()
    own.review()
  }

  async function openNewEpoch(): Promise<void> {
    const previous = newestTail()
    if (ownTails().length >= LOG_EPOCHS_MAX) {
      throw new TriforceError('LOG_FORKED', { epochs: LOG_EPOCHS_MAX }, {
        detail: `this hub has opened ${LOG_EPOCHS_MAX} logs, and the others take no more: its key was used on two machines, or its disk loses data; `
          + 'call the other hubs\' admins',
      })
    }
    // The time makes the number new also where a hub lost everything and meets no peer that could tell it of its past.
    const epoch = Math.min(Math.max((previous?.log.epoch ?? -1) + 1, Math.floor(clock.now() / 1_000)), 0xffff_ffff)
    const seed = random.bytes(SEED_BYTES)
    const logSigner = createSigner(seed)
    await files.writeEpochKey({ epoch, seed })
    key = { epoch, seed }
    const tail = emptyTail({ hub, epoch })
    await ends.opened({ epoch, no: 0, hash: tail.hash })
    const certified: EpochKey = {
      v: 1, network, hub, epoch, key: logSigner.publicKey,
      ...(previous === undefined ? {} : { previous: { epoch: previous.log.epoch, no: previous.no, hash: previous.hash } }),
    }
    const first = encodeEntry({ k: 'EpochOpen', hub, epoch, key: signDocument(signer, 'epochKey', certified) })
    log.info('own log opened', { epoch, previousEpoch: previous?.log.epoch })
    if (state !== 'opening') return
    openEpoch = epoch
    openLog(tail, logSigner, first)
  }

  function fail(error: TriforceError): void {
    own.stop()
    onFailed(error)
  }

  const own: OwnLog = {
    get writable() { return state === 'open' },

    review: () => {
      const ahead = behind()
      const newest = newestTail()?.log
      if (state !== 'stopped' && newest !== undefined && isForked(newest) && sealedAt(newest) === undefined) {
        // The seal may stand behind the proof, in frames that are still on their way; a hub that ended here would never come to them.
        if (state === 'closed' && openEpoch === undefined && !waitedForSeal) {
          cancelSealWait ??= clock.after(sealWaitMs, () => {
            waitedForSeal = true
            own.review()
          })
          return
        }
        fail(new TriforceError('LOG_FORKED', { hub, epoch: newest.epoch }, {
          detail: 'this hub\'s log has two histories, both with its signature: it was written from two copies of its folder. This hub writes '
            + 'no more. Keep its ledger folder and have the other hubs\' admins seal its log (triforce admin seal) before it is started again',
        }))
        return
      }
      if (state === 'open' && sealedAt({ hub, epoch: openEpoch! }) !== undefined) {
        log.warn('the own log was sealed by the other hubs; this hub goes on in a new one', { epoch: openEpoch })
        state = 'closed'
        pauseLog()
      }
      const written = state === 'open' ? newestTail() : undefined
      if (written !== undefined && !isFolded(written)) {
        // Another hub's log was cut, and what this one built on its end counts only once that log's seal is here.
        log.warn('writing stops until what the own log rests on is here', { epoch: openEpoch })
        state = 'closed'
        pauseLog()
        return
      }
      if (state === 'open') {
        // A peer has frames of the log being written, or a newer log: this disk is an old copy of itself.
        if (!ahead.some(({ epoch }) => epoch >= openEpoch!)) return
        if (overtaken) {
          fail(new TriforceError('LOG_FORKED', { epoch: openEpoch! }, {
            detail: 'another process writes the log of this hub: its key is in use twice. Stop the one that must not run and remove '
              + 'its copy of node.key, then start this one again',
          }))
          return
        }
        log.warn('another hub has frames of the own log that this disk has lost; writing stops until they are here')
        overtaken = true
        lose()
        state = 'closed'
        pauseLog()
        return
      }
      if (state !== 'closed') return
      if (ahead.length > 0) {
        if (ahead.some(({ epoch }) => epoch >= (newestTail()?.log.epoch ?? 0))) lose()
        return
      }
      const { connected, compared } = peers()
      if (!(newestTail() === undefined ? hasHeard() : compared > 0) && !(waitedAlone && connected === 0 && mayGoAlone())) return
      state = 'opening'
      open().catch((error: unknown) => {
        state = 'stopped'
        onFailed(error)
      })
    },

    advanced: (tail) => {
      if (tail.log.epoch !== openEpoch) return
      ends.advanced({ epoch: tail.log.epoch, no: tail.no, hash: tail.hash })
    },

    stop: () => {
      if (state === 'open') pauseLog()
      state = 'stopped'
    },

    close: async () => {
      own.stop()
      cancelWait()
      cancelSealWait?.()
      await ends.close()
    },
  }
  return own
}
