/**
 * A home router's UPnP (Internet Gateway Device 2), run inside the router's namespace: answers searches, tells its outer
 * address and opens ports, which really lead inside.
 * Arguments: inner address, outer address. Sends `ready` when it listens.
 */
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'

const [inner, outer] = process.argv.slice(2) as [string, string]
const DEVICE = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:2'
const UDN = 'uuid:7c9e6679-7425-40de-944b-e07fc1f90ae7'
const HTTP_PORT = 5_000

const description = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>1</minor></specVersion>
<device><deviceType>${DEVICE}</deviceType><friendlyName>router</friendlyName><manufacturer>test</manufacturer><modelName>test</modelName><UDN>${UDN}</UDN>
<serviceList><service><serviceType>${SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<SCPDURL>/scpd.xml</SCPDURL><controlURL>/control</controlURL><eventSubURL>/event</eventSubURL></service></serviceList></device></root>`

const field = (body: string, name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? ''
const envelope = (action: string, inside: string) => `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`
  + `<u:${action}Response xmlns:u="${SERVICE}">${inside}</u:${action}Response></s:Body></s:Envelope>`

function act(action: string, body: string): string {
  if (action === 'GetExternalIPAddress') return `<NewExternalIPAddress>${outer}</NewExternalIPAddress>`
  if (action !== 'AddAnyPortMapping') return ''
  const [port, client, clientPort] = ['NewExternalPort', 'NewInternalClient', 'NewInternalPort'].map((name) => field(body, name)) as [string, string, string]
  if (/^\d{1,5}$/.test(port) && /^192\.168\.1\.\d+$/.test(client) && /^\d{1,5}$/.test(clientPort)) {
    execFileSync('nft', ['add', 'rule', 'ip', 'home', 'forwarded', 'iifname', 'wan', 'tcp', 'dport', port, 'dnat', 'to', `${client}:${clientPort}`])
  }
  return `<NewReservedPort>${port}</NewReservedPort>`
}

createServer((request, response) => {
  let body = ''
  request.on('data', (chunk: Buffer) => {
    body += chunk.toString()
  })
  request.on('end', () => {
    const action = /#(\w+)/.exec(request.headers['soapaction']?.toString() ?? '')?.[1]
    response.writeHead(200, { 'content-type': 'text/xml' }).end(action === undefined ? description : envelope(action, act(action, body)))
  })
}).listen(HTTP_PORT, inner, () => {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.on('message', (message, from) => {
    if (!message.toString().startsWith('M-SEARCH')) return
    socket.send([
      'HTTP/1.1 200 OK', 'CACHE-CONTROL: max-age=1800', 'EXT:', `LOCATION: http://${inner}:${HTTP_PORT}/device.xml`, 'SERVER: test/1 UPnP/1.1 test/1',
      `ST: ${DEVICE}`, `USN: ${UDN}::${DEVICE}`, '', '',
    ].join('\r\n'), from.port, from.address)
  })
  socket.bind(1_900, () => {
    socket.addMembership('239.255.255.250', inner)
    process.send?.('ready')
  })
})
process.on('disconnect', () => process.exit())
