import { expect } from 'chai'
import { openTestLedger, temporaryDir, join2, testWorld, testReceipt, testTicket } from '/work/main/test/support/ledger-world.ts'
import { verifyReceiptFile } from '/work/main/ledger/receipt-file.ts'
import { until } from '/work/main/test/support/until.ts'
it('smoke', async function () {
  this.timeout(60000)
  const w = testWorld()
  const dir = await temporaryDir()
  const L = await Promise.all([0,1,2].map((i) => openTestLedger(w, i, `${dir.path}/${i}`)))
  join2(L[0],0,L[1],1); join2(L[0],0,L[2],2); join2(L[1],1,L[2],2)
  await Promise.all(L.map((l) => l.whenWritable({ signal: AbortSignal.timeout(5000) })))
  console.log(L[0].heads())
  const key = w.hubs[0].signer
  console.log(await L[0].openAccount({ publicKey: key.publicKey, name: 'x', tier: 'free' }))
  console.log(await L[0].openAccount({ publicKey: key.publicKey, name: 'x', tier: 'free' }))
  const acct = L[0].accounts()[0]
  console.log(await L[1].grant({ account: acct.id, amountMicroCredits: 5_000_000n, source: 'x' }))
  const N = 4000
  const rs = Array.from({ length: N }, () => testReceipt(w.federation.network, key, { account: acct.id }))
  let t = performance.now()
  const res = await Promise.all(rs.map((r) => L[0].appendReceipt(r)))
  console.log('receipts/s', N / ((performance.now() - t) / 1000), res[0], res.at(-1), new Set(res.map(r=>r.durability)))
  await until('heads', () => JSON.stringify(L[0].heads()) === JSON.stringify(L[2].heads()) && JSON.stringify(L[0].heads()) === JSON.stringify(L[1].heads()))
  console.log(L[1].heads(), L[2].account(acct.id))
  const list = await L[2].receipts({ account: acct.id, limit: 5 })
  console.log(list.length, list[0].loggedAt)
  const files = await Promise.all(L.map((l) => l.receiptFile(list[0].id)))
  expect(files[0]).to.equal(files[1]); expect(files[0]).to.equal(files[2])
  console.log(files[0], files[0].length)
  console.log(verifyReceiptFile(files[0], w.federation).seq)
  await Promise.all(L.map((l) => l.close()))
  t = performance.now()
  process.env.TRIFORCE_TEST_LOG='1'
  const again = await openTestLedger(w, 1, `${dir.path}/1`)
  console.log('open ms', performance.now() - t)
  await again.close()
  const { execSync } = await import('node:child_process')
  console.log(execSync(`du -sb ${dir.path}/1`).toString())
  await dir.remove()
})
