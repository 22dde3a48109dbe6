/**
 * Peer ids and model keys. A libp2p peer id of an Ed25519 key is the key itself behind six fixed bytes, so a public
 * key in a signed document and a peer id on the wire name the same peer.
 */
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as digest from 'multiformats/hashes/digest'
import { bytesEqual, concatBytes, toLatin1 } from './bytes.ts'
import { PUBLIC_KEY_BYTES, sha256 } from './crypto.ts'

// multihash identity (0x00), length 36, then a protobuf PublicKey {type 1: Ed25519 (1), data 2: 32 bytes}.
const PEER_ID_PREFIX = Uint8Array.from([0x00, 0x24, 0x08, 0x01, 0x12, 0x20])
const SHA2_256_CODE = 0x12

/** Written before; base58 takes its time, and hubs name the same peers over and over. As many as hosts that a hub may know. */
const KNOWN_MAX = 20_000
const known = new Map<string, string>()

/** 32 bytes → `12D3Koo…`. */
export function peerIdOf(publicKey: Uint8Array): string {
  const name = toLatin1(publicKey)
  const before = known.get(name)
  if (before !== undefined) return before
  const peerId = base58btc.encode(concatBytes(PEER_ID_PREFIX, publicKey)).slice(1)
  if (known.size >= KNOWN_MAX) known.delete(known.keys().next().value!)
  known.set(name, peerId)
  return peerId
}

/** Gives undefined where the text is no peer id of an Ed25519 key. */
export function publicKeyOf(peerId: string): Uint8Array | undefined {
  try {
    const bytes = base58btc.decode(`z${peerId}`)
    const prefix = bytes.subarray(0, PEER_ID_PREFIX.byteLength)
    const key = bytes.slice(PEER_ID_PREFIX.byteLength)
    return bytesEqual(prefix, PEER_ID_PREFIX) && key.byteLength === PUBLIC_KEY_BYTES ? key : undefined
  } catch {
    return undefined
  }
}

/** The DHT key under which hosts of a model are found. */
export function modelKey(network: string, modelId: string): CID {
  const hash = sha256(Buffer.from(`triforce/${network}/model/1/${modelId}`, 'utf8'))
  return CID.createV1(raw.code, digest.create(SHA2_256_CODE, hash))
}
