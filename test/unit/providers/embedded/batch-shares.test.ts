import { expect } from 'chai'
import type { BatchItem, EvaluationPriority } from 'node-llama-cpp'
import { ONE_BY_ONE, batchShares } from '../../../../providers/embedded/batch-shares.ts'

const waiting = (count: number, evaluationPriority: EvaluationPriority = 5) => ({ tokens: Array.from({ length: count }, () => 1), evaluationPriority }) as unknown as BatchItem
const sharesOf = (size: number, ...items: BatchItem[]) => batchShares({ items, size }).map(({ processAmount }) => processAmount)

describe('providers/embedded/batch-shares', () => {
  it('takes one token at a time of what is to be computed one by one, beside whatever else waits', () => {
    expect(sharesOf(512, waiting(32, ONE_BY_ONE))).to.deep.equal([1])
    expect(sharesOf(512, waiting(32, ONE_BY_ONE), waiting(1), waiting(7, ONE_BY_ONE))).to.deep.equal([1, 1, 1])
  })

  it('gives the rest its even share, and never more than a batch holds', () => {
    expect(sharesOf(512, waiting(600), waiting(32, ONE_BY_ONE))).to.deep.equal([511, 1])
    expect(sharesOf(512, waiting(600), waiting(10))).to.deep.equal([256, 10])
    expect(sharesOf(2, waiting(5), waiting(5), waiting(5))).to.deep.equal([1, 1])
  })
})
