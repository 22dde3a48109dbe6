/**
 * The command line: every command with its flags. Takes the words after `triforce`; gives the exit code. What goes wrong
 * is one sentence on stderr; wrong usage names the nearest right word and exits with 2.
 */
import { Command, CommanderError } from 'commander'
import { addAccountCommand } from './commands/account.ts'
import { addAdminCommand } from './commands/admin.ts'
import { addChatCommand } from './commands/chat.ts'
import type { CommandContext } from './commands/context.ts'
import { addContributorCommand } from './commands/contributor.ts'
import { addCreditsCommand } from './commands/credits.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addEngineCommand } from './commands/engine.ts'
import { addFederationCommand } from './commands/federation.ts'
import { addKeyCommand } from './commands/key.ts'
import { addLendingCommands } from './commands/lending.ts'
import { addModelsCommand } from './commands/models.ts'
import { addReceiptsCommand } from './commands/receipts.ts'
import { addRouteCommand } from './commands/route.ts'
import { addStartCommand } from './commands/start.ts'
import { addStatementCommand } from './commands/statement.ts'
import { addStatusCommand } from './commands/status.ts'
import { addUpCommand } from './commands/up.ts'
import { addVendorKeyCommand } from './commands/vendor-key.ts'
import { describeError, exitCodes } from './command-error.ts'
import { version } from './version.ts'

export async function runCli(words: readonly string[], context: CommandContext): Promise<number> {
  const program = createProgram(context)
  try {
    await program.parseAsync(words, { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    // Commander has printed its own sentence, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const { sentence, exitCode } = describeError(error)
    context.terminal.note(`triforce: ${sentence}`)
    return exitCode
  }
}

export function createProgram(context: CommandContext): Command {
  const { terminal } = context
  const program = new Command('triforce')
    .description('A peer-to-peer federation for AI compute: lend a GPU, earn credits, use every model through one endpoint.')
    .version(version)
    .exitOverride()
    // Flags belong to the command that they stand behind: `models --json` and `models list --json` are two.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
      // One line: what is wrong, the nearest right word, and where to look.
      outputError: (text, write) => write(`triforce: ${text.trim().replace(/^error: /, '').replace(/\.$/, '').replaceAll(/\s*\n\s*/g, ' ')}; --help shows what there is`),
    })
  // Settings above go over to the commands that are added below.
  for (const add of [
    addUpCommand, addStartCommand, addChatCommand, addModelsCommand, addRouteCommand, addStatusCommand, addCreditsCommand, addStatementCommand, addReceiptsCommand,
    addAccountCommand, addVendorKeyCommand, addKeyCommand, addFederationCommand, addContributorCommand, addLendingCommands, addAdminCommand, addEngineCommand, addDoctorCommand,
  ]) add(program, context)
  return program
}
