/**
 * The log: pino behind the Log port. One line for people on stderr, or JSON lines for machines; stdout stays free for
 * what a command was asked for. Secrets that slip into a context are blanked here as the last line of defence.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import pino, { type Logger } from 'pino'
import type { Log, LogContext } from '../protocol/ports.ts'

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LogOptions {
  readonly level: LogLevel
  /** JSON lines in place of lines for people. */
  readonly json: boolean
  /** Where lines are appended; undefined: stderr. */
  readonly file?: string | undefined
}

/** Names under which a secret or a prompt might be logged by mistake. */
const SECRET_FIELDS = [
  'apiKey', 'api_key', 'key', 'secret', 'seed', 'token', 'adminToken', 'authorization', 'cookie', 'password', 'passphrase',
  'prompt', 'content', 'messages',
]

// An API key or an admin token of ours, wherever it stands in a text.
const API_KEY_TEXT = /\btfa?-[0-9A-Za-z]{32,}\b/g
const CENSORED = '[hidden]'

const STDERR_FD = 2

export function createLog(options: LogOptions): Log {
  const fd = options.file === undefined ? STDERR_FD : openSync(options.file, 'a', 0o600)
  // Lines are rare (see the levels in protocol/ports.ts), so each is written at once and none is lost in a crash.
  const writeLine = (line: string): void => writeText(fd, options.json ? line : humanLine(line))
  if (fd !== STDERR_FD) process.once('exit', () => closeSync(fd))
  return logOver(pino({
    level: options.level,
    base: null,
    messageKey: 'text',
    redact: { paths: SECRET_FIELDS, censor: CENSORED },
    formatters: { level: (label) => ({ level: label }), log: hideApiKeys },
  }, { write: writeLine }), '')
}

function logOver(root: Logger, part: string): Log {
  // Always a child of the root: pino would write the field `part` twice for a child of a child.
  const logger = part === '' ? root : root.child({ part })
  return {
    debug: (text, context) => logger.debug(context ?? {}, text),
    info: (text, context) => logger.info(context ?? {}, text),
    warn: (text, context) => logger.warn(context ?? {}, text),
    error: (text, context) => logger.error(context ?? {}, text),
    child: (name) => logOver(root, part === '' ? name : `${part}.${name}`),
  }
}

function hideApiKeys(context: Record<string, unknown>): Record<string, unknown> {
  const shown: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(context)) {
    shown[name] = typeof value === 'string' ? value.replace(API_KEY_TEXT, CENSORED) : value
  }
  return shown
}

const CONTROL_CHARACTERS = /\p{Cc}/gu

function humanLine(line: string): string {
  const { time, level, part, text, ...context } = JSON.parse(line) as LogContext & { time: number; level: string; text: string }
  const pairs = Object.entries(context).map(([name, value]) => ` ${name}=${String(value)}`).join('')
  const partText = part === undefined ? '' : `${String(part)}: `
  // Names of peers come from outside: a line must stay one line and must not steer the terminal.
  const body = `${partText}${text}${pairs}`.replace(CONTROL_CHARACTERS, ' ')
  return `${new Date(time).toISOString()} ${level.padEnd(5)} ${body}\n`
}

function writeText(fd: number, text: string): void {
  try {
    writeSync(fd, text)
  } catch {
    // A full disk or a closed terminal must not take the node down, and there is nowhere left to say so.
  }
}
