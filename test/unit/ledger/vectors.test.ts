/**
 * The test vectors of docs/vectors/ledger: still the same byte for byte, and read here as another language would, with
 * nothing but DAG-CBOR, SHA-256 and Ed25519.
 */
import { decode, encode } from '@ipld/dag-cbor'
import { expect } from 'chai'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { entrySchema } from '../../../ledger/entries/entry.ts'
import { verifyStatement } from '../../../ledger/checkpoint/statement-file.ts'
import { verifyReceiptFile } from '../../../ledger/receipt-file.ts'
import { readFederation } from '../../../protocol/federation.ts'
import { repository, textOf } from '../../support/source-files.ts'
import { vectorFiles } from '../../vectors/files.ts'

type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value }
interface Fields { readonly [key: string]: Value }

const plain = (value: Value | undefined) => {
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  throw new TypeError(`neither text nor number: ${JSON.stringify(value)}`)
}
const hex = (value: Value | undefined) => Buffer.from(plain(value), 'hex')
const sha256 = (...parts: readonly Uint8Array[]) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
const read = (name: string) => JSON.parse(textOf(`docs/vectors/ledger/${name}`)) as Fields
const list = (value: Value | undefined) => value as readonly Fields[]

/** JSON of a vector → the value that DAG-CBOR gives. */
function valueOf(json: Value): unknown {
  if (Array.isArray(json)) return (json as readonly Value[]).map(valueOf)
  if (json === null || typeof json !== 'object') return json
  const map = json as Fields
  const keys = Object.keys(map)
  if (keys.length === 1 && keys[0] === 'bytes') return new Uint8Array(hex(map['bytes']))
  if (keys.length === 1 && keys[0] === 'int') return BigInt(map['int'] as string)
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, valueOf(value)]))
}

interface Batch { readonly index: number; readonly size: number; readonly path: readonly Uint8Array[] }

/** The root over `domain NUL body` and its siblings, as the page says it (RFC 9162, 2.1.3.2). */
function batchRoot({ index, size, path }: Batch, domain: string, body: Uint8Array): Buffer {
  let hash = sha256(Uint8Array.of(0), Buffer.from(`${domain}\0`), body)
  let [at, last] = [index, size - 1]
  for (const sibling of path) {
    const isRight = at % 2 === 1 || at === last
    hash = isRight ? sha256(Uint8Array.of(1), sibling, hash) : sha256(Uint8Array.of(1), hash, sibling)
    if (isRight) while (at % 2 === 0 && at > 0) [at, last] = [at >> 1, last >> 1]
    ;[at, last] = [at >> 1, last >> 1]
  }
  return hash
}

function signatureGood(key: Uint8Array, domain: string, body: Uint8Array, signature: Uint8Array): boolean {
  const publicKey = createPublicKey({ key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]), format: 'der', type: 'spki' })
  return verify(null, Buffer.concat([Buffer.from(`${domain}\0`), body]), publicKey, signature)
}

/** RFC 6962, 2.1, as it is written there. */
function treeRoot(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return Buffer.from(leaves[0]!)
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return sha256(Uint8Array.of(1), treeRoot(leaves.slice(0, split)), treeRoot(leaves.slice(split)))
}

const amountAt = (bytes: Buffer, at: number) => (bytes.readBigUInt64BE(at) << 64n) | bytes.readBigUInt64BE(at + 8)
function amountBytes(amount: bigint): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64BE(amount >> 64n, 0)
  bytes.writeBigUInt64BE(amount & 0xffff_ffff_ffff_ffffn, 8)
  return bytes
}

interface Child { readonly hash: Buffer; readonly money: bigint; readonly debt: bigint }
type Level = Map<number, Child>

function stateNode(level: number, children: ReadonlyMap<number, Child>): Child {
  const branches = [...children.keys()].sort((a, b) => a - b)
  const bits = branches.reduce((sum, branch) => sum + 2 ** (15 - branch), 0)
  const sum = (pick: (child: Child) => bigint) => branches.reduce((total, branch) => total + pick(children.get(branch)!), 0n)
  const parts = branches.flatMap((branch) => {
    const { hash, money, debt } = children.get(branch)!
    return [hash, amountBytes(money), amountBytes(debt)]
  })
  return { hash: sha256(Buffer.of(1, level, bits >> 8, bits & 0xff), ...parts), money: sum(({ money }) => money), debt: sum(({ debt }) => debt) }
}

describe('test vectors of the ledger', () => {
  it('are those of this source, byte for byte', () => {
    const files = vectorFiles()
    expect(readdirSync(join(repository, 'docs/vectors/ledger')).sort()).to.deep.equal([...files.keys()].sort())
    for (const [name, text] of files) expect(textOf(`docs/vectors/ledger/${name}`) === text, `${name} is another one: it must not change`).to.equal(true)
  })

  it('have every kind of entry', () => {
    const kinds = new Set(list(read('entries.json')['entries']).map(({ kind }) => kind))
    expect([...kinds]).to.have.members(entrySchema.options.map((option) => option.shape.k.value))
  })

  it('of entries: fields are the plain DAG-CBOR of the bytes, ids are derived as the page says, documents are signed', () => {
    const context = read('entries.json')
    for (const { name, kind, eid, naturalKey, bytes, leafHash, fields, documents } of list(context['entries'])) {
      const label = plain(name)
      expect(valueOf(fields!), label).to.deep.equal(decode(hex(bytes)))
      expect(Buffer.from(encode(valueOf(fields!))).toString('hex'), label).to.equal(bytes)
      const derivedFrom = kind === 'JobReceipt' ? 'triforce/receipt/1\0' : `triforce/entry/1\0${plain(kind)}\0`
      expect(sha256(Buffer.from(derivedFrom), hex(naturalKey)).subarray(0, 16).toString('hex'), label).to.equal(eid)
      expect(sha256(Uint8Array.of(0), hex(bytes)).toString('hex'), label).to.equal(leafHash)
      for (const { at, domain, fields: inner } of list(documents)) {
        const entry = valueOf(fields!) as Record<string, unknown>
        let document = entry
        for (const step of at as readonly string[]) document = document[step] as Record<string, unknown>
        const { body, key, signature, batch } = document as Record<string, Uint8Array> & { readonly batch?: Batch }
        // A half does not repeat the key of its contributor.
        const signer = key ?? entry['contributor'] as Uint8Array
        const good = batch === undefined ? signatureGood(signer, plain(domain), body!, signature!) : signatureGood(signer, 'triforce/batch/1', batchRoot(batch, plain(domain), body!), signature!)
        expect(good, label).to.equal(true)
        expect(valueOf(inner!), label).to.deep.equal(decode(body!))
      }
    }
  })

  it('of frames: chain, roots and signatures', () => {
    const logKey = hex((read('keys.json')['keys'] as unknown as Record<string, Fields>)['log 0']!['publicKey'])
    let before = Buffer.alloc(32)
    const log: Buffer[] = []
    let time = 0
    for (const frame of list(read('frames.json')['frames'])) {
      const stored = decode<Record<string, Uint8Array> & { readonly entries: readonly Uint8Array[] }>(hex(frame['bytes']))
      expect(Buffer.from(stored['header']!).toString('hex')).to.equal(frame['headerBytes'])
      const header = decode<Record<string, Uint8Array & number>>(hex(frame['headerBytes']))
      expect(valueOf(frame['header']!)).to.deep.equal(header)
      expect(signatureGood(logKey, 'triforce/log-frame/1', hex(frame['headerBytes']), hex(frame['signature']))).to.equal(true)
      expect(sha256(hex(frame['headerBytes'])).toString('hex')).to.equal(frame['hash'])
      expect(Buffer.from(header['prevHash']!).equals(before)).to.equal(true)
      before = hex(frame['hash'])
      expect(header['tsMs']).to.be.greaterThan(time)
      time = header['tsMs']!
      const entries = list(frame['entries'])
      expect(stored.entries.map((bytes) => Buffer.from(bytes).toString('hex'))).to.deep.equal(entries.map(({ bytes }) => bytes))
      const leaves = entries.map(({ bytes }) => sha256(Uint8Array.of(0), hex(bytes)))
      expect(leaves.map((leaf) => leaf.toString('hex'))).to.deep.equal(entries.map(({ leafHash }) => leafHash))
      expect(treeRoot(leaves).equals(header['entriesRoot']!)).to.equal(true)
      log.push(...leaves)
      expect(header['treeSize']).to.equal(log.length)
      expect(treeRoot(log).equals(header['treeRoot']!)).to.equal(true)
    }
    expect(log.length).to.be.at.least(8)
  })

  it('of the state tree: leaves, sums, proofs lead to the root', () => {
    const vectors = read('state-tree.json')
    const root = vectors['root'] as Fields
    const leaves = new Map(list(vectors['leaves']).map((leaf) => [plain(leaf['account']), leaf]))
    let money = 0n
    for (const [account, { path, bytes, hash, totals }] of leaves) {
      const raw = hex(bytes)
      const said = valueOf(totals!) as Record<string, number | bigint>
      expect(raw.subarray(0, 16).toString('hex')).to.equal(account)
      expect(sha256(hex(account)).toString('hex')).to.equal(path)
      expect(sha256(Uint8Array.of(0), raw).toString('hex')).to.equal(hash)
      for (const [place, name] of ['minted', 'spent', 'held', 'inflight', 'back', 'debt'].entries()) {
        expect(amountAt(raw, 16 + 16 * place), name).to.equal(BigInt(said[name]!))
      }
      const owned = ['available', 'held', 'inflight', 'frozen', 'back'].reduce((sum, name) => sum + BigInt(said[name]!), 0n)
      expect(owned, account).to.equal(BigInt(said['minted']!) - BigInt(said['spent']!) + BigInt(said['debt']!))
      money += owned
    }
    expect(money).to.equal(BigInt(valueOf(root['money']!) as number | bigint))
    for (const { account, bytes } of list(vectors['proofs'])) {
      const leaf = leaves.get(plain(account))!
      const said = valueOf(leaf['totals']!) as Record<string, number | bigint>
      const levels = proofLevels(hex(bytes))
      let running: Child = {
        hash: hex(leaf['hash']), debt: BigInt(said['debt']!), money: ['available', 'held', 'inflight', 'frozen', 'back'].reduce((sum, name) => sum + BigInt(said[name]!), 0n),
      }
      for (let level = levels.length - 1; level >= 0; level -= 1) {
        const branch = Number.parseInt(plain(leaf['path'])[level]!, 16)
        expect(levels[level]!.has(branch)).to.equal(false)
        running = stateNode(level, levels[level]!.set(branch, running))
      }
      expect(running.hash.toString('hex')).to.equal(root['hash'])
    }
  })

  it('of a checkpoint: its hash, two signatures, and the root and sums that the state tree has', () => {
    const vectors = read('checkpoint.json')
    const body = Buffer.from(plain(vectors['text']))
    const root = read('state-tree.json')['root'] as Fields
    const keys = read('keys.json')['keys'] as unknown as Record<string, Fields>
    expect(sha256(body).toString('hex')).to.equal(vectors['sha256'])
    expect(plain(vectors['text'])).to.include(`\nstate ${plain(root['hash'])} accounts ${plain(root['accounts'])} `)
    for (const { hub, signature } of list(vectors['signatures'])) {
      expect(signatureGood(hex(keys[`hub ${plain(hub)}`]!['publicKey']), 'triforce/checkpoint/1', body, hex(signature))).to.equal(true)
    }
  })

  it('of the rules: homes, charges and chains follow from the page', () => {
    const vectors = read('rules.json')
    const keys = read('keys.json')['keys'] as unknown as Record<string, Fields>
    for (const { account, home } of list(vectors['homes'])) {
      const weights = [0, 1, 2].map((hub) => sha256(hex(account), hex(keys[`hub ${hub}`]!['publicKey'])).toString('hex'))
      expect(weights.indexOf([...weights].sort().at(-1)!)).to.equal(home)
    }
    for (const row of list(vectors['charges'])) {
      const number = (name: string) => BigInt(valueOf(row[name]!) as number | bigint)
      const used = number('promptTokens') + number('completionTokens')
      const covered = used < number('quotaTokensMax') ? used : number('quotaTokensMax')
      const coveredPrompt = covered < number('promptTokens') ? covered : number('promptTokens')
      const exact = (number('promptTokens') - coveredPrompt) * number('promptMicroCredits')
        + (number('completionTokens') - (covered - coveredPrompt)) * number('completionMicroCredits')
      expect(number('charge')).to.equal(exact / 1_000n + (exact % 1_000n === 0n ? 0n : 1n))
      expect(number('quotaTokens')).to.equal(covered)
    }
    let head = Buffer.alloc(32)
    for (const link of list(vectors['chain'])) {
      head = sha256(head, hex(link['entry']))
      expect(head.toString('hex')).to.equal(link['head'])
    }
  })

  it('of the receipt file: it is verified with the federation file beside it', () => {
    const { federation, file } = read('receipt-file.json')
    expect(verifyReceiptFile(plain(file), readFederation(plain(federation)))).to.deep.include({ hub: 0, epoch: 1 })
  })

  it('of the statement file: it is verified with the federation file beside it, and shows every entry of its account', () => {
    const { federation, file } = read('statement-file.json')
    const { balance, lines, hubs } = verifyStatement(plain(file), readFederation(plain(federation)))
    expect(balance).to.deep.include({ available: 3_517_000n, inflight: 250_000n, minted: 5_000_000n, spent: 1_233_000n })
    expect(lines.map(({ kind }) => kind)).to.deep.equal(['Grant', 'Hold', 'Settle', 'Give'])
    expect(hubs).to.deep.equal([0, 2])
  })
})

/** Each level: 2 bytes of branches, then hash, money and debt of each. */
function proofLevels(bytes: Buffer): Level[] {
  const levels: Level[] = []
  let at = 0
  while (at < bytes.byteLength) {
    const bits = bytes.readUInt16BE(at)
    at += 2
    const level: Level = new Map()
    for (let branch = 0; branch < 16; branch += 1) {
      if (Math.floor(bits / 2 ** (15 - branch)) % 2 === 0) continue
      level.set(branch, { hash: bytes.subarray(at, at + 32), money: amountAt(bytes, at + 32), debt: amountAt(bytes, at + 48) })
      at += 64
    }
    levels.push(level)
  }
  return levels
}
