/**
 * Keeps a hub from being sent to machines of its own network by an address that an admin was talked into (SSRF): such an
 * address must be public, by https, when it is added, and must lead to a public machine each time it is connected to,
 * since a name can be made to point elsewhere afterwards. Redirects are never followed (transport.ts).
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import ipaddr from 'ipaddr.js'
import { buildConnector } from 'undici'
import { TriforceError } from '../../protocol/errors.ts'

/** Public by their range, and yet a cloud's own services behind them: Azure's wire server. */
const OWN_SERVICES = ['168.63.129.16']
/** Names that resolve only inside a network, refused at once with a better sentence. */
const INSIDE_NAME = /(^|\.)(localhost|local|internal|intranet|lan|home|corp|localdomain|home\.arpa)$/
const CONNECT_MS_MAX = 10_000

export type Lookup = typeof systemLookup

/** True for addresses of machines on the internet at large. Takes IPv4 and IPv6 as the system writes them. */
export function isPublicAddress(text: string): boolean {
  const bare = text.replace(/^\[|\]$/g, '').replace(/%.*$/, '')
  // The forms of inet_aton (0x7f.1, 2130706433) are only what `URL` makes of them: four decimal parts.
  if (!ipaddr.IPv6.isValid(bare) && !ipaddr.IPv4.isValidFourPartDecimal(bare)) return false
  // An IPv4 address inside an IPv6 one counts as itself.
  const address = ipaddr.process(bare)
  return address.range() === 'unicast' && !OWN_SERVICES.includes(address.toString())
}

/** Throws CONFIG_INVALID that says what is wrong with an address for a vendor, before anything is asked. */
export function checkVendorUrl(text: string, { allowPrivate }: { readonly allowPrivate: boolean }): void {
  const url = URL.parse(text)
  if (url === null) refuse('the base URL is not an address; it begins with https://')
  if (url.username !== '' || url.password !== '') refuse('the base URL holds a name or password; give the key apart from it')
  if (url.search !== '' || url.hash !== '') refuse('the base URL must end with its path')
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:')) refuse('the base URL must begin with https:// (or, with --allow-private, http://)')
  if (allowPrivate) return
  const host = url.hostname.replace(/\.$/, '')
  const isAddress = host.startsWith('[') || ipaddr.IPv4.isValid(host)
  if (isAddress ? !isPublicAddress(host) : INSIDE_NAME.test(host) || !host.includes('.')) {
    refuse(`${host} is inside this network or machine; where that is meant, add it with --allow-private`)
  }
}

/** A connector for undici that refuses every address that is not public, at the moment of connecting. */
export function publicConnector(lookup: Lookup = systemLookup): buildConnector.connector {
  const connect = buildConnector({ timeout: CONNECT_MS_MAX, lookup: publicLookup(lookup) as never })
  return (options, callback) => {
    // A written address is not looked up.
    const host = options.hostname
    if ((host.startsWith('[') || ipaddr.isValid(host)) && !isPublicAddress(host)) callback(notPublic(), null)
    else connect(options, callback)
  }
}

function publicLookup(lookup: Lookup) {
  return (host: string, options: { readonly all?: boolean }, done: (error: Error | null, addresses: string | readonly LookupAddress[], family?: number) => void): void => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, [])
      // One address inside is enough: which of them is taken is not ours to say.
      const [first] = addresses
      if (first === undefined || addresses.some(({ address }) => !isPublicAddress(address))) return done(notPublic(), [])
      if (options.all === true) done(null, addresses)
      else done(null, first.address, first.family)
    })
  }
}

function notPublic(): TriforceError {
  return new TriforceError('VENDOR_FAILED', {}, { detail: 'the address of this vendor leads inside this network; where that is meant, add it with --allow-private' })
}

function refuse(detail: string): never {
  throw new TriforceError('CONFIG_INVALID', {}, { detail })
}
