import { expect } from 'chai'
import { checkVendorUrl, isPublicAddress, publicConnector, type Lookup } from '../../../../providers/cloud/address-guard.ts'
import { createTransport } from '../../../../providers/cloud/transport.ts'
import { codeOf, realClock } from '../../../support/provider-world.ts'
import { startVendorServer } from '../../../support/vendors/vendor-server.ts'

const INSIDE = [
  '127.0.0.1', '127.1.2.3', '0.0.0.0', '10.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '100.100.100.200', '192.0.0.192', '224.0.0.1', '255.255.255.255',
  '198.18.0.1', '168.63.129.16', '::', '::1', '::ffff:127.0.0.1', '::ffff:169.254.169.254', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd00:ec2::254', 'ff02::1', '64:ff9b::7f00:1', '2002:7f00:1::', '[::1]',
]
const OUTSIDE = ['8.8.8.8', '1.1.1.1', '104.18.7.192', '2606:4700::6812:7c0', '[2606:4700::6812:7c0]']

describe('providers/cloud/address-guard', () => {
  for (const address of INSIDE) it(`takes ${address} for inside`, () => expect(isPublicAddress(address)).to.equal(false))
  for (const address of OUTSIDE) it(`takes ${address} for outside`, () => expect(isPublicAddress(address)).to.equal(true))

  for (const url of [
    'http://api.example.com/v1', 'ftp://api.example.com', 'file:///etc/passwd', 'not an address', 'https://user:pass@api.example.com', 'https://api.example.com/v1?key=1', 'https://localhost/v1',
    'https://127.0.0.1/v1', 'https://2130706433/v1', 'https://0x7f.1/v1', 'https://0177.0.0.1/v1', 'https://[::1]/v1', 'https://[::ffff:7f00:1]/v1', 'https://metadata.google.internal/', 'https://printer.local/',
    'https://intranet/v1', 'https://127.0.0.1./v1', 'https://localhost./',
  ]) {
    it(`refuses ${url}`, () => {
      expect(() => checkVendorUrl(url, { allowPrivate: false })).to.throw().with.property('code', 'CONFIG_INVALID')
    })
  }

  it('takes public addresses, and those inside where the admin says so', () => {
    checkVendorUrl('https://api.example.com/v1', { allowPrivate: false })
    checkVendorUrl('http://127.0.0.1:8000/v1', { allowPrivate: true })
    expect(() => checkVendorUrl('ftp://127.0.0.1', { allowPrivate: true })).to.throw()
  })

  it('refuses at the moment of connecting a name that leads inside, and asks nothing', async () => {
    const server = await startVendorServer(() => ({ parts: ['{}'] }))
    const { port } = new URL(server.origin)
    const rebound = ((_host: string, _options: unknown, done: (error: null, addresses: { address: string; family: number }[]) => void) => {
      done(null, [{ address: '93.184.216.34', family: 4 }, { address: '127.0.0.1', family: 4 }])
    }) as unknown as Lookup
    const transport = createTransport({ clock: realClock(), connect: publicConnector(rebound) })
    for (const url of [`http://rebound.example:${port}/`, `http://127.0.0.1:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`]) {
      expect(await codeOf(transport.fetch(url)), url).to.equal('VENDOR_FAILED')
    }
    expect(server.connections).to.equal(0)
    await transport.close()
    await server.stop()
  })
})
