/** Which hub is home to an account: rendezvous hashing, so every hub finds the same one without asking. */
import { sha256 } from '../../protocol/crypto.ts'

/** Index of the hub whose SHA-256(account ‖ hub's node key) is largest. `account`: hexadecimal. */
export function homeOf(hubKeys: readonly Uint8Array[], account: string): number {
  const id = Buffer.from(account, 'hex')
  let home = 0
  let largest: Uint8Array | undefined
  for (const [hub, key] of hubKeys.entries()) {
    const weight = sha256(id, key)
    if (largest === undefined || Buffer.compare(weight, largest) > 0) {
      home = hub
      largest = weight
    }
  }
  return home
}
