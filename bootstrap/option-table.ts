/**
 * The settings of a node: one table gives each its flag, environment variable, parser and description, so that the
 * help, the checks and `docs/operating.md` cannot drift apart. Defaults that depend on other settings stand in config.ts;
 * `fallback` says them in words.
 */
import { delimiter, resolve } from 'node:path'
import { TriforceError } from '../protocol/errors.ts'
import { nodeModeSchema } from '../protocol/messages/capacity.ts'
import { logLevels } from './log.ts'
import {
  parseChoice, parseCount, parseMultiaddr, parseName, parseOllamaHost, parseSwitch, parseText,
} from './option-parsers.ts'

export interface OptionSpec<T> {
  /** As commander writes it. */
  readonly flag: string
  /** The first one that is set counts. */
  readonly env: readonly string[]
  readonly description: string
  /** The default, in words. */
  readonly fallback: string
  /** Throws a RangeError that ends "must be …". */
  readonly parse: (text: string) => T
  /** Separates values in the environment variable of a setting that may be given several times. */
  readonly separator?: string
  /** Not shown in the help: for benches, not for people. */
  readonly hidden?: boolean
}

function option<T>(spec: OptionSpec<T>): OptionSpec<T> {
  return spec
}

interface ListSpec<T> extends OptionSpec<T> {
  readonly separator: string
}

function list<T>(spec: ListSpec<T>): ListSpec<T> {
  return spec
}

export const nodeOptionTable = {
  mode: option({
    flag: '--mode <mode>', env: ['TRIFORCE_MODE'], parse: parseChoice(nodeModeSchema.options),
    description: 'what this node is: hub, contributor, consumer or hybrid', fallback: 'none, must be given',
  }),
  federation: option({
    flag: '--federation <file>', env: ['TRIFORCE_FEDERATION'], parse: (text) => resolve(text),
    description: 'the federation file: which network, and who its three hubs are', fallback: 'federation.json in the state folder',
  }),
  dir: option({
    flag: '--dir <folder>', env: ['TRIFORCE_DIR'], parse: (text) => resolve(text),
    description: 'state folder: the key, and on a hub the ledger', fallback: '~/.triforce/node',
  }),
  name: option({
    flag: '--name <name>', env: ['TRIFORCE_NAME'], parse: parseName,
    description: 'name of this node as people see it', fallback: 'the name of the host; a hub has its name from the federation file',
  }),
  apiHost: option({
    flag: '--api-host <address>', env: ['TRIFORCE_API_HOST'], parse: parseText('must be an address of this machine'),
    description: 'address at which the HTTP API listens', fallback: '127.0.0.1',
  }),
  apiPort: option({
    flag: '--api-port <port>', env: ['TRIFORCE_API_PORT'], parse: parseCount(0, 65_535),
    description: 'port of the HTTP API; 0 takes any free one', fallback: '8330',
  }),
  p2p: list({
    flag: '--p2p <multiaddr...>', env: ['TRIFORCE_P2P'], parse: parseMultiaddr, separator: ',',
    description: 'where the peer-to-peer side listens; may be given several times',
    fallback: 'a hub: its ports in the federation file; else any free port',
  }),
  announce: list({
    flag: '--announce <multiaddr...>', env: ['TRIFORCE_ANNOUNCE'], parse: parseMultiaddr, separator: ',',
    description: 'address at which others reach this node too, such as a port opened by hand at the router', fallback: 'none; a hub is known by the federation file',
  }),
  relay: option({
    flag: '--relay <on|off>', env: ['TRIFORCE_RELAY'], parse: parseSwitch,
    description: 'be reachable through the hubs, end-to-end encrypted; on a hub: carry such streams', fallback: 'on',
  }),
  checks: option({
    flag: '--checks <on|off>', env: ['TRIFORCE_CHECKS'], parse: parseSwitch,
    description: 'on a hub: ask machines questions that look like any job, to find those that cheat', fallback: 'on, in a local federation off',
  }),
  upnp: option({
    flag: '--upnp <on|off>', env: ['TRIFORCE_UPNP'], parse: parseSwitch,
    description: 'ask the home router to open a port, so that others stream from here directly', fallback: 'off',
  }),
  apiKey: option({
    flag: '--key <key>', env: ['TRIFORCE_API_KEY'], parse: parseText('must be an API key'),
    description: 'API key of your account: a contributor earns for it, a consumer spends with it', fallback: 'none',
  }),
  models: list({
    flag: '--model <path...>', env: ['TRIFORCE_MODELS'], parse: (text) => resolve(text), separator: delimiter,
    description: 'GGUF file to lend, or a folder of them; may be given several times', fallback: 'none',
  }),
  ollama: option({
    flag: '--ollama <url>', env: ['TRIFORCE_OLLAMA', 'OLLAMA_HOST'], parse: parseOllamaHost,
    description: 'address of Ollama, or off', fallback: 'http://127.0.0.1:11434 where models are lent',
  }),
  embedded: option({
    flag: '--embedded <on|off>', env: ['TRIFORCE_EMBEDDED'], parse: parseSwitch,
    description: 'use the llama.cpp engine that comes with TriForce', fallback: 'on where models are lent',
  }),
  demoModel: option({
    flag: '--demo-model <on|off>', env: ['TRIFORCE_DEMO_MODEL'], parse: parseSwitch,
    description: 'offer the small demo model; only inside a local federation', fallback: 'on for the contributors of a local federation',
  }),
  slots: option({
    flag: '--slots <count>', env: ['TRIFORCE_SLOTS'], parse: parseCount(1, 64),
    description: 'jobs that may run at once in each engine', fallback: 'what the engine thinks fit',
  }),
  logLevel: option({
    flag: '--log-level <level>', env: ['TRIFORCE_LOG_LEVEL'], parse: parseChoice(logLevels),
    description: `how much is logged: ${logLevels.join(', ')}`, fallback: 'info',
  }),
  logFile: option({
    flag: '--log-file <file>', env: ['TRIFORCE_LOG_FILE'], parse: (text) => resolve(text),
    description: 'file to which the log is appended', fallback: 'stderr',
  }),
  logJson: option({
    flag: '--log-json <on|off>', env: ['TRIFORCE_LOG_JSON'], parse: parseSwitch,
    description: 'log lines as JSON', fallback: 'off',
  }),
  benchSource: option({
    flag: '--bench-source <on|off>', env: ['TRIFORCE_BENCH_SOURCE'], parse: parseSwitch,
    description: 'offer a source that emits text at will and is no model', fallback: 'off', hidden: true,
  }),
} as const

type Table = typeof nodeOptionTable
type Value<Spec> = Spec extends ListSpec<infer T> ? readonly T[] : Spec extends OptionSpec<infer T> ? T : never

/** What was given by flag or environment; everything else is absent. */
export type NodeSettings = { readonly [Name in keyof Table]?: Value<Table[Name]> }

/** Flags as commander collects them: texts, or lists of them. */
export type FlagValues = Readonly<Record<string, string | readonly string[] | undefined>>

/** Flag before environment; an empty variable counts as not set. Throws CONFIG_INVALID that names the flag and the way out. */
export function readSettings(flags: FlagValues, env: NodeJS.ProcessEnv): NodeSettings {
  const settings: Record<string, unknown> = {}
  for (const [name, spec] of Object.entries(nodeOptionTable) as [string, OptionSpec<unknown>][]) {
    const given = givenTexts(name, spec, flags, env)
    if (given === undefined) continue
    const values = given.texts.map((text) => parsed(spec, given.source, text))
    settings[name] = spec.separator === undefined ? values.at(-1) : values
  }
  return settings
}

/** The name under which commander keeps a flag's value: `--api-port <port>` gives `apiPort`. */
export function flagKey(flag: string): string {
  return flagName(flag).slice(2).replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** `--api-port <port>` gives `--api-port`. */
export function flagName(flag: string): string {
  return flag.split(' ', 1)[0]!
}

function givenTexts(name: string, spec: OptionSpec<unknown>, flags: FlagValues, env: NodeJS.ProcessEnv) {
  const flagged = flags[flagKey(spec.flag)]
  if (flagged !== undefined) return { texts: typeof flagged === 'string' ? [flagged] : flagged, source: flagName(spec.flag) }
  for (const variable of spec.env) {
    const text = env[variable]
    if (text === undefined || text === '') continue
    const texts = spec.separator === undefined ? [text] : text.split(spec.separator).filter((part) => part !== '')
    return { texts, source: variable }
  }
  return undefined
}

function parsed(spec: OptionSpec<unknown>, source: string, text: string): unknown {
  try {
    return spec.parse(text)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    // The value itself may be a secret, so it is not repeated.
    throw new TriforceError('CONFIG_INVALID', { source }, { detail: `${source} ${cause.message}`, cause })
  }
}
