/**
 * The Merkle tree of RFC 6962 (section 2.1) over the entries of a log.
 *
 * A `Frontier` is the whole tree in a few hashes: the roots of its complete subtrees from the largest to the smallest.
 * Appending costs one hash per leaf on average, the root at most one per subtree. Pure.
 */
import { bytesEqual } from './bytes.ts'
import { sha256, SHA256_BYTES } from './crypto.ts'

const LEAF_PREFIX = 0
const NODE_PREFIX = 1

export interface Frontier {
  /** Leaves in the tree. */
  readonly size: number
  readonly nodes: readonly Uint8Array[]
}

export const emptyFrontier: Frontier = Object.freeze({ size: 0, nodes: [] })

// Node inputs all have this one length.
const nodeInput = Buffer.alloc(1 + 2 * SHA256_BYTES)
nodeInput[0] = NODE_PREFIX

export function leafHash(leaf: Uint8Array): Uint8Array {
  const input = Buffer.allocUnsafe(1 + leaf.byteLength)
  input[0] = LEAF_PREFIX
  input.set(leaf, 1)
  return sha256(input)
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + SHA256_BYTES)
  return sha256(nodeInput)
}

/** The tree with more leaves at its end; the one given is not changed. */
export function appendLeaves(frontier: Frontier, leafHashes: readonly Uint8Array[]): Frontier {
  const nodes = [...frontier.nodes]
  let size = frontier.size
  for (const leaf of leafHashes) {
    nodes.push(leaf)
    // Each trailing one bit of the old size is a complete subtree that the new leaf completes to twice its size.
    for (let rest = size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
      const right = nodes.pop()!
      nodes.push(nodeHash(nodes.pop()!, right))
    }
    size += 1
  }
  return { size, nodes }
}

export function rootOf(frontier: Frontier): Uint8Array {
  if (frontier.nodes.length === 0) return sha256(new Uint8Array())
  return frontier.nodes.reduceRight((right, left) => nodeHash(left, right))
}

export function rootOfLeaves(leafHashes: readonly Uint8Array[]): Uint8Array {
  return rootOf(appendLeaves(emptyFrontier, leafHashes))
}

/** The hashes that lead from leaf `index` to the root, lowest first (PATH of RFC 6962). */
export function inclusionPath(leafHashes: readonly Uint8Array[], index: number): Uint8Array[] {
  if (leafHashes.length <= 1) return []
  let split = 1
  while (split * 2 < leafHashes.length) split *= 2
  const left = leafHashes.slice(0, split)
  const right = leafHashes.slice(split)
  return index < split
    ? [...inclusionPath(left, index), rootOfLeaves(right)]
    : [...inclusionPath(right, index - split), rootOfLeaves(left)]
}

/** The root, and the path of every leaf: each inner hash is made once, where `inclusionPath` for each leaf would make it anew. */
export function inclusionPaths(leafHashes: readonly Uint8Array[]): { readonly root: Uint8Array; readonly paths: readonly (readonly Uint8Array[])[] } {
  const paths: Uint8Array[][] = leafHashes.map(() => [])

  /** Of the leaves from `start` to before `end`: at least one. */
  function rootWithin(start: number, end: number): Uint8Array {
    if (end - start === 1) return leafHashes[start]!
    let split = 1
    while (split * 2 < end - start) split *= 2
    const left = rootWithin(start, start + split)
    const right = rootWithin(start + split, end)
    for (let index = start; index < start + split; index += 1) paths[index]!.push(right)
    for (let index = start + split; index < end; index += 1) paths[index]!.push(left)
    return nodeHash(left, right)
  }

  return { root: leafHashes.length === 0 ? rootOf(emptyFrontier) : rootWithin(0, leafHashes.length), paths }
}

/** True where `path` proves that `leaf` stands at `index` of the tree of `size` leaves with this root. */
export function verifyInclusion(leaf: Uint8Array, index: number, size: number, path: readonly Uint8Array[], root: Uint8Array): boolean {
  const found = rootOfPath(leaf, index, size, path)
  return found !== undefined && bytesEqual(found, root)
}

/** Root of the tree of `size` leaves in which `path` leads from `leaf` at `index` (RFC 9162, 2.1.3.2); undefined where the path is not as long as it must be. */
export function rootOfPath(leaf: Uint8Array, index: number, size: number, path: readonly Uint8Array[]): Uint8Array | undefined {
  if (index < 0 || index >= size) return undefined
  let node = index
  let last = size - 1
  let running = leaf
  for (const sibling of path) {
    if (last === 0) return undefined
    if (node % 2 === 1 || node === last) {
      running = nodeHash(sibling, running)
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2)
        last = Math.floor(last / 2)
      }
    } else {
      running = nodeHash(running, sibling)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? running : undefined
}
