import { expect } from 'chai'
import * as fc from 'fast-check'
import {
  appendLeaves, emptyFrontier, inclusionPath, inclusionPaths, leafHash, nodeHash, rootOf, rootOfLeaves, verifyInclusion,
} from '../../../protocol/merkle.ts'
import { fromHex, toHex } from '../../../protocol/bytes.ts'

// The leaves and roots that the reference implementation of RFC 6962 (Certificate Transparency) is tested with.
const ctLeaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map((hex) => fromHex(hex)!)
const ctRoots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const leavesOf = (count: number) => Array.from({ length: count }, (_, index) => leafHash(Buffer.from(`leaf ${index}`)))

/** MTH of RFC 6962, section 2.1, word by word. */
function referenceRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return nodeHash(referenceRoot(leaves.slice(0, split)), referenceRoot(leaves.slice(split)))
}

describe('ledger/merkle', () => {
  it('gives the roots of the reference trees of RFC 6962', () => {
    expect(toHex(rootOf(emptyFrontier))).to.equal('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    for (const [index, root] of ctRoots.entries()) {
      expect(toHex(rootOfLeaves(ctLeaves.slice(0, index + 1).map(leafHash))), `${index + 1} leaves`).to.equal(root)
    }
  })

  it('gives all paths at once as it gives each', () => {
    for (let size = 0; size <= 70; size += 1) {
      const leaves = leavesOf(size)
      const { root, paths } = inclusionPaths(leaves)
      expect(root).to.deep.equal(rootOfLeaves(leaves))
      expect(paths, `${size} leaves`).to.deep.equal(leaves.map((_, index) => inclusionPath(leaves, index)))
    }
  })

  it('gives the same root however the leaves are grouped, and the root of the definition', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }), (groups) => {
      const leaves = leavesOf(groups.reduce((sum, count) => sum + count, 0))
      let frontier = emptyFrontier
      for (const count of groups) frontier = appendLeaves(frontier, leaves.slice(frontier.size, frontier.size + count))
      expect(frontier.size).to.equal(leaves.length)
      expect(toHex(rootOf(frontier))).to.equal(toHex(referenceRoot(leaves)))
    }))
  })

  it('keeps no more hashes than the size has one bits, and leaves the given tree alone', () => {
    const frontier = appendLeaves(emptyFrontier, leavesOf(1_000))
    expect(frontier.nodes.length).to.equal((1_000).toString(2).replaceAll('0', '').length)
    const root = toHex(rootOf(frontier))
    appendLeaves(frontier, leavesOf(3))
    expect(toHex(rootOf(frontier))).to.equal(root)
  })

  it('proves every leaf of every tree up to 40 leaves, with at most ten hashes for 1,000', () => {
    for (let size = 1; size <= 40; size += 1) {
      const leaves = leavesOf(size)
      const root = rootOfLeaves(leaves)
      for (let index = 0; index < size; index += 1) {
        expect(verifyInclusion(leaves[index]!, index, size, inclusionPath(leaves, index), root), `${index} of ${size}`).to.equal(true)
      }
    }
    expect(inclusionPath(leavesOf(1_000), 0).length).to.equal(10)
  })

  it('refuses a proof with another leaf, index, size, root, a changed, missing or added hash', () => {
    fc.assert(fc.property(fc.integer({ min: 2, max: 64 }), fc.nat(), fc.nat(), (size, indexSeed, bit) => {
      const leaves = leavesOf(size)
      const index = indexSeed % size
      const root = rootOfLeaves(leaves)
      const path = inclusionPath(leaves, index)
      const leaf = leaves[index]!
      const flipped = path.map((hash) => Uint8Array.from(hash))
      const target = flipped[bit % flipped.length]!
      target[bit % 32] = target[bit % 32]! ^ 1
      const other = (index + 1) % size
      expect(verifyInclusion(leaves[other]!, index, size, path, root)).to.equal(false)
      expect(verifyInclusion(leaf, other, size, path, root)).to.equal(false)
      expect(verifyInclusion(leaf, size, size, path, root)).to.equal(false)
      expect(verifyInclusion(leaf, index, size, path, leaf)).to.equal(false)
      expect(verifyInclusion(leaf, index, size, flipped, root)).to.equal(false)
      expect(verifyInclusion(leaf, index, size, path.slice(1), root)).to.equal(false)
      expect(verifyInclusion(leaf, index, size, [...path, leaf], root)).to.equal(false)
    }))
  })
})
