/** `triforce up`: a whole federation on this machine. */
import { Option, type Command } from 'commander'
import { localDirOf } from '../find-node.ts'
import { formatCredits, parseCredits } from '../../protocol/units.ts'
import { accountDefaults } from '../local-federation/accounts.ts'
import { parseCount, parseText } from '../option-parsers.ts'
import { flagKey, flagName, nodeOptionTable, readSettings, type FlagValues, type OptionSpec } from '../option-table.ts'
import { runUp, upDefaults } from '../up.ts'
import { argumentOf } from './arguments.ts'
import type { CommandContext } from './context.ts'

/** Settings of `start` that `up` takes too and hands to its nodes. */
const forAllNodes: readonly OptionSpec<unknown>[] = [nodeOptionTable.logLevel, nodeOptionTable.logJson]
const forContributors: readonly OptionSpec<unknown>[] = [
  nodeOptionTable.models, nodeOptionTable.ollama, nodeOptionTable.embedded, nodeOptionTable.demoModel, nodeOptionTable.slots,
  nodeOptionTable.benchSource,
]

interface UpFlags {
  readonly dir?: string
  readonly contributors: number
  readonly apiPort: number
  readonly p2pPort: number
  readonly tier: string
  readonly credits: bigint
  readonly json?: boolean
}

export function addUpCommand(program: Command, context: CommandContext): void {
  const command = program.command('up').description('run a whole federation on this machine: three hubs and a contributor')
    .option('--dir <folder>', 'state folder (default: ~/.triforce/local)')
    .option('--contributors <count>', 'how many contributors', countOf('--contributors', 0, upDefaults.contributorsMax), upDefaults.contributors)
    .option('--api-port <port>', 'HTTP port of the first hub; a busy one moves to the next free one', countOf('--api-port', 1, 65_000), upDefaults.apiPort)
    .option('--p2p-port <port>', 'libp2p port of the first hub', countOf('--p2p-port', 1, 65_000), upDefaults.p2pPort)
    .option('--tier <tier>', 'tier of the account "local", whose key is printed', argumentOf('--tier', parseText('must be the name of a tier')), accountDefaults.localTier)
    .addOption(new Option('--credits <credits>', 'credits that the account "local" is given when it is opened').argParser(argumentOf('--credits', parseCredits)).default(accountDefaults.grantMicroCredits, formatCredits(accountDefaults.grantMicroCredits)))
    .option('--json', 'print one JSON line when ready, and nothing else on stdout')
  for (const spec of [...forContributors, ...forAllNodes]) {
    const option = new Option(spec.flag, `${spec.description} (default: ${spec.fallback})`)
    command.addOption(spec.hidden === true ? option.hideHelp() : option)
  }
  command.action(async (flags: UpFlags & FlagValues) => {
    // Checked here once, so that a slip is told at once and not by every node.
    readSettings(pick(flags, [...forContributors, ...forAllNodes]), {})
    const common = argumentsFor(forAllNodes, flags)
    await runUp({
      dir: localDirOf(flags, context.env),
      contributors: flags.contributors,
      apiPort: flags.apiPort,
      p2pPort: flags.p2pPort,
      hubArgs: common,
      contributorArgs: [...argumentsFor(forContributors, flags), ...common],
      local: { tier: flags.tier, microCredits: flags.credits },
      json: flags.json === true,
    }, context)
  })
}

function countOf(flag: string, min: number, max: number): (text: string) => number {
  return argumentOf(flag, parseCount(min, max))
}

function pick(flags: FlagValues, specs: readonly OptionSpec<unknown>[]): FlagValues {
  return Object.fromEntries(specs.map((spec) => [flagKey(spec.flag), flags[flagKey(spec.flag)]]))
}

function argumentsFor(specs: readonly OptionSpec<unknown>[], flags: FlagValues): readonly string[] {
  return specs.flatMap((spec) => {
    const given = flags[flagKey(spec.flag)]
    if (given === undefined) return []
    return (typeof given === 'string' ? [given] : given).flatMap((value) => [flagName(spec.flag), value])
  })
}
