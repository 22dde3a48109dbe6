/**
 * Has one hub logged the Seal of one log in two of its own logs? No hub that is run once does; two processes of one hub may, one in
 * the log that it has and the other in the one that it opened after a loss. See docs/ledger.md#forks, "Limit".
 */
import { decodeEntry } from '../../ledger/entries/entry.ts'
import { decodeFrame, type Frame } from '../../ledger/frame.ts'
import { framePositionOf, frameRange } from '../../ledger/store/buckets.ts'
import { keyBytes, keyText, placeOf, type DiskImage } from './sim-disk.ts'

export function hasSealedTwice(images: readonly DiskImage[], hub: number): boolean {
  const logsBySealed = new Map<string, Set<number>>()
  for (const { keys, rows } of images) {
    for (let place = placeOf(keys, keyText(frameRange.gte)); place < keys.length && keys[place]! < keyText(frameRange.lt); place += 1) {
      const { log } = framePositionOf(keyBytes(keys[place]!))
      for (const bytes of log.hub === hub ? wholeFrame(rows.get(keys[place]!)!)?.entryBytes ?? [] : []) {
        const entry = decodeEntry(bytes)
        if (entry.k !== 'Seal') continue
        const name = `${entry.log.hub}/${entry.log.epoch}`
        logsBySealed.set(name, (logsBySealed.get(name) ?? new Set()).add(log.epoch))
      }
    }
  }
  return [...logsBySealed.values()].some(({ size }) => size > 1)
}

function wholeFrame(bytes: Uint8Array): Frame | undefined {
  try {
    const frame = decodeFrame(bytes)
    for (const entry of frame.entryBytes) decodeEntry(entry)
    return frame
  } catch {
    // Spoilt by the simulator; another disk has it whole.
    return undefined
  }
}
