/** Texts of settings into values. Each throws a RangeError whose message goes on from the setting's name: "must be …". */
import { parseCredits } from '../protocol/units.ts'

/** What Ollama itself listens at. */
const OLLAMA_PORT = 11_434

export function parseChoice<const Choice extends string>(choices: readonly Choice[]): (text: string) => Choice {
  return (text) => {
    const choice = choices.find((known) => known === text)
    if (choice === undefined) throw new RangeError(`must be one of ${choices.join(', ')}`)
    return choice
  }
}

/** 32 hexadecimal digits. */
export function parseAccount(text: string): string {
  if (!/^[0-9a-f]{32}$/i.test(text)) throw new RangeError('must be an account: 32 hexadecimal digits')
  return text.toLowerCase()
}

export function parseCount(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d{1,15}$/.test(text) || value < min || value > max) throw new RangeError(`must be a whole number from ${min} to ${max}`)
    return value
  }
}

export function parseNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d{1,9}(\.\d{1,9})?$/.test(text) || value < min || value > max) throw new RangeError(`must be a number from ${min} to ${max}`)
    return value
  }
}

const TIME_FORM = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z?)?$/

/** A day, or a day and a time of UTC, as Unix milliseconds. */
export function parseTime(text: string): number {
  const form = TIME_FORM.exec(text)
  const time = form === null ? Number.NaN : Date.parse(form[1] === undefined || text.endsWith('Z') ? text : `${text}Z`)
  // A day that a month does not have, Date.parse counts on into the next one.
  if (!Number.isInteger(time) || time < 0 || !new Date(time).toISOString().startsWith(text.slice(0, 10))) {
    throw new RangeError('must be a day or a time in UTC, such as 2026-11-01 or 2026-11-01T12:00:00Z')
  }
  return time
}

const SWITCH_WORDS = new Map([['on', true], ['true', true], ['1', true], ['off', false], ['false', false], ['0', false]])

export function parseSwitch(text: string): boolean {
  const value = SWITCH_WORDS.get(text.toLowerCase())
  if (value === undefined) throw new RangeError('must be on or off')
  return value
}

export function parseText(problem: string): (text: string) => string {
  return (text) => {
    if (text.trim() === '') throw new RangeError(problem)
    return text.trim()
  }
}

// The capacity announcement holds 64 characters; letters that steer a terminal have no place in a name.
const NAME_CHARS_MAX = 64

export function parseName(text: string): string {
  const name = text.trim()
  if (name === '' || name.length > NAME_CHARS_MAX || !/^[\p{L}\p{N} ._-]+$/u.test(name)) {
    throw new RangeError(`must be 1 to ${NAME_CHARS_MAX} letters, digits, spaces, dots, hyphens or underscores`)
  }
  return name
}

const TCP_MULTIADDR = /^\/(?:ip4\/\d{1,3}(?:\.\d{1,3}){3}|ip6\/[0-9a-fA-F:.]{2,45}|dns[46]?\/[A-Za-z0-9.-]{1,253})\/tcp\/(\d{1,5})$/

export function parseMultiaddr(text: string): string {
  const port = TCP_MULTIADDR.exec(text)?.[1]
  if (port === undefined || Number(port) > 65_535) throw new RangeError('must be a multiaddr such as /ip4/203.0.113.7/tcp/4330')
  return text
}

export interface ServiceAddress { readonly url: string }

/** Ollama's own variable may be `host`, `host:port`, `:port` or a URL; undefined: off. */
export function parseOllamaHost(text: string): ServiceAddress | 'off' {
  const trimmed = text.trim()
  if (trimmed.toLowerCase() === 'off') return 'off'
  const withScheme = /^https?:\/\//.test(trimmed) ? trimmed : `http://${trimmed.startsWith(':') ? '127.0.0.1' : ''}${trimmed}`
  if (!URL.canParse(withScheme)) throw new RangeError(`must be a URL such as http://127.0.0.1:${OLLAMA_PORT}, or off`)
  const url = new URL(withScheme)
  // Port 80 of a plain `http://` address is what people never mean; Ollama's client adds its own port too.
  if (url.port === '' && url.protocol === 'http:') url.port = String(OLLAMA_PORT)
  // 0.0.0.0 is where a server listens, not where a client can reach it on every system.
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1'
  return { url: url.origin }
}

/** Credits as µcr, more than 0. */
export function parsePositiveCredits(text: string): bigint {
  const amount = parseCredits(text)
  if (amount === undefined || amount <= 0n) throw new RangeError('must be a positive number with at most six decimals')
  return amount
}
