import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Federation } from '../../../protocol/federation.ts'
import {
  createDraft, parseHubArgument, readFederationFile, reviewFederation, signDraft, writeFederationFile,
} from '../../../bootstrap/federation-file.ts'
import { testKey } from '../../support/federation.ts'
import { temporaryFolders } from '../../support/process-folder.ts'
import { rejectionOf } from '../../support/process-rejection.ts'

const keys = [testKey(), testKey(), testKey()]

function federation(change: Partial<Federation> = {}): Federation {
  return {
    v: 1, network: 'acme', kind: 'public', createdAt: 1_800_000_000_000,
    hubs: keys.map((key, index) => ({ name: `hub-${index + 1}`, peerId: key.peerId, addresses: [`/ip4/203.0.113.${index}/tcp/4330`] })),
    ...change,
  }
}

const signAll = (draft: string): string => keys.reduce((text, key) => signDraft(text, key).text, draft)

describe('bootstrap/federation-file', () => {
  const folder = temporaryFolders()

  it('is complete after three admins signed, in any order, and each one twice', async () => {
    let text = createDraft(federation())
    expect(reviewFederation(text).hubs.map((hub) => hub.signature)).to.deep.equal(['missing', 'missing', 'missing'])
    for (const [key, missing] of [[keys[2], ['hub-1', 'hub-2']], [keys[0], ['hub-2']], [keys[0], ['hub-2']], [keys[1], []]] as const) {
      const signed = signDraft(text, key!)
      expect(signed.missing).to.deep.equal(missing)
      text = signed.text
    }
    expect(reviewFederation(text).complete).to.equal(true)
    const path = join(folder(), 'federation.json')
    await writeFederationFile(path, text)
    expect(await readFederationFile(path)).to.deep.equal(federation())
  })

  it('says who must still sign where a draft is used', async () => {
    const path = join(folder(), 'draft.json')
    writeFileSync(path, signDraft(createDraft(federation()), keys[1]!).text)
    const error = await rejectionOf(readFederationFile(path))
    expect(error.code).to.equal('FEDERATION_INVALID')
    expect(error.message).to.contain('hub-1 and hub-3 must sign first')
  })

  it('says where to get a file that is not there', async () => {
    const error = await rejectionOf(readFederationFile(join(folder(), 'none.json')))
    expect(error.message).to.contain('--federation FILE')
  })

  it('refuses to sign with a key that is no hub, and below a signature that does not fit', () => {
    const draft = createDraft(federation())
    expect(() => signDraft(draft, testKey())).to.throw('is no hub of this federation')
    const signed = signDraft(draft, keys[0]!).text
    const changed = signed.replace('203.0.113.2', '203.0.113.9')
    expect(() => signDraft(changed, keys[1]!)).to.throw('the signature of hub "hub-1" does not fit')
  })

  it('refuses every changed value of a complete file', async () => {
    const path = join(folder(), 'federation.json')
    const text = signAll(createDraft(federation()))
    await writeFederationFile(path, text)
    await readFederationFile(path)
    const signature = (JSON.parse(text) as { signatures: string[] }).signatures[1]!
    const changes: readonly (readonly [string, string])[] = [
      ['"acme"', '"acmf"'],
      ['"kind": "public"', '"kind": "local"'],
      ['1800000000000', '1800000000001'],
      ['"hub-2"', '"hub-4"'],
      ['203.0.113.1', '203.0.113.7'],
      [keys[0]!.peerId, testKey().peerId],
      [signature, (signature.startsWith('0') ? '1' : '0') + signature.slice(1)],
      ['"v": 1', '"v": 2'],
      ['"signatures"', '"signature"'],
      ['{\n  "federation"', '{\n  "note": "x",\n  "federation"'],
    ]
    for (const [from, to] of changes) {
      expect(text, from).to.contain(from)
      writeFileSync(path, text.replace(from, to))
      expect((await rejectionOf(readFederationFile(path))).code, `${from} → ${to}`).to.equal('FEDERATION_INVALID')
    }
  })

  it('refuses each single changed character of a complete file', async function () {
    this.timeout(30_000)
    const text = signAll(createDraft(federation()))
    const path = join(folder(), 'federation.json')
    for (let at = 0; at < text.length; at += 1) {
      const letter = text[at] === '7' ? '3' : '7'
      writeFileSync(path, text.slice(0, at) + letter + text.slice(at + 1))
      expect((await rejectionOf(readFederationFile(path))).code, `character ${at}`).to.equal('FEDERATION_INVALID')
    }
  })

  it('shows an invalid signature as invalid', () => {
    const text = signAll(createDraft(federation())).replace('203.0.113.1', '203.0.113.7')
    const review = reviewFederation(text)
    expect(review.complete).to.equal(false)
    expect(review.hubs.map((hub) => hub.signature)).to.deep.equal(['invalid', 'invalid', 'invalid'])
  })

  it('refuses a draft with a hub twice or a bad name', () => {
    const [first, second, third] = federation().hubs
    expect(() => createDraft(federation({ hubs: [first!, { ...second!, peerId: first!.peerId }, third!] }))).to.throw('same peer id')
    expect(() => createDraft(federation({ hubs: [first!, { ...second!, name: first!.name }, third!] }))).to.throw('same name')
    expect(() => createDraft(federation({ network: 'Acme Net' }))).to.throw('network')
  })

  it('reads a hub argument, and says which part of a bad one is wrong', () => {
    const peerId = keys[0]!.peerId
    expect(parseHubArgument(`berlin,${peerId},/dns4/hub.example.org/tcp/4330,/ip6/2001:db8::1/tcp/4330`)).to.deep.equal({
      name: 'berlin', peerId, addresses: ['/dns4/hub.example.org/tcp/4330', '/ip6/2001:db8::1/tcp/4330'],
    })
    expect(() => parseHubArgument(`Berlin,${peerId},/ip4/1.2.3.4/tcp/1`)).to.throw('the name must be')
    expect(() => parseHubArgument('berlin,12D3KooWnot,/ip4/1.2.3.4/tcp/1')).to.throw('peer id that "triforce key show" prints')
    expect(() => parseHubArgument(`berlin,${peerId}`)).to.throw('multiaddr is missing')
    expect(() => parseHubArgument(`berlin,${peerId},1.2.3.4:4330`)).to.throw('is not a multiaddr such as')
  })
})
