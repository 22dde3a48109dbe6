/** `triforce doctor`: is everything here that a node needs? */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { CommandError } from '../command-error.ts'
import type { CheckResult } from '../doctor-checks.ts'
import { localDirOf } from '../find-node.ts'
import type { Style } from '../terminal.ts'
import { printJson, type CommandContext } from './context.ts'

interface DoctorFlags {
  readonly dir?: string
  readonly federation?: string
  readonly quick?: boolean
  readonly json?: boolean
}

const resultStyles: Readonly<Record<CheckResult, Style>> = { ok: 'green', warn: 'yellow', fail: 'red' }

export function addDoctorCommand(program: Command, context: CommandContext): void {
  program.command('doctor').description('check this machine, what runs on it, and what it would earn')
    .option('--dir <folder>', 'state folder to look at (default: ~/.triforce/local)')
    .option('--federation <file>', 'federation file to check')
    .option('--quick', 'neither ask the engine for its devices nor measure the line to the hubs')
    .option('--json', 'print JSON')
    .action(async (flags: DoctorFlags) => {
      const { terminal, env } = context
      const { runChecks } = await import('../doctor-checks.ts')
      const named = flags.federation ?? (env['TRIFORCE_FEDERATION'] || undefined)
      const checks = await runChecks({ dir: localDirOf(flags, env), federationFile: named === undefined ? undefined : resolve(named), env, quick: flags.quick === true })
      if (flags.json === true) printJson(terminal, checks)
      else {
        const width = Math.max(...checks.map((check) => check.name.length))
        for (const { name, result, text } of checks) {
          terminal.print(`${terminal.style(resultStyles[result], result.padEnd(4))}  ${name.padEnd(width)}  ${text}`)
        }
      }
      const failed = checks.filter((check) => check.result === 'fail')
      if (failed.length > 0) throw new CommandError(`${failed.length} of ${checks.length} checks failed: ${failed.map((check) => check.name).join(', ')}`)
    })
}
