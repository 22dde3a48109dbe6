/** `triforce models pull | list | rm`: the models on this machine, as GGUF files for the built-in engine and in Ollama. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { configDefaults } from '../config.ts'
import { argumentOf } from './arguments.ts'
import type { CommandContext } from './context.ts'
import type { LocalFlags, PullFlags } from './models-local-run.ts'

export function addLocalModelCommands(models: Command, context: CommandContext): void {
  withLocalFlags(models.command('pull').description('bring a model onto this machine: hf:owner/repo/file.gguf, an https URL, or a name of Ollama\'s library')
    .argument('<model>', 'what to get')
    .option('--sha256 <hex>', 'SHA-256 that the file must have', argumentOf('--sha256', parseSha256)))
    .action(async (model: string, flags: PullFlags) => (await import('./models-local-run.ts')).runPull(model, flags, context))

  withLocalFlags(models.command('list').description('list the models that are on this machine'))
    .action(async (flags: LocalFlags) => (await import('./models-local-run.ts')).runList(flags, context))

  withLocalFlags(models.command('rm').description('remove a model from this machine').argument('<model>', 'its name, as "models list" shows it'))
    .action(async (model: string, flags: LocalFlags) => (await import('./models-local-run.ts')).runRemove(model, flags, context))
}

function withLocalFlags(command: Command): Command {
  return command
    .option('--to <folder>', 'folder of the GGUF files', (text) => resolve(text), configDefaults.modelsDir)
    .option('--ollama <url>', 'address of Ollama, or off (or TRIFORCE_OLLAMA, OLLAMA_HOST)')
    .option('--json', 'print JSON')
}

function parseSha256(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new RangeError('must be 64 hexadecimal digits')
  return text.toLowerCase()
}
