/** What every command gets: the terminal, the environment and the flags that all client commands share. */
import type { Command } from 'commander'
import type { Parent } from '../local-federation/parent.ts'
import type { Terminal } from '../terminal.ts'
import { createApiClient, type ApiClient } from '../api-client.ts'
import { findNode, type TargetFlags } from '../find-node.ts'
import type { System } from '../system.ts'
import type { NodeConfig } from '../config.ts'
import type { RunningNode } from '../running-node.ts'

export interface CommandContext {
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  /** Path of the program's entry, which `up` runs for each node. */
  readonly entry: string
  /** The `up` that started this process; absent where somebody else did. */
  readonly parent?: Parent | undefined
  /** `compose.ts`, loaded only by the commands that run a node: it takes most of the start-up time. */
  readonly startNode: (config: NodeConfig, system: System) => Promise<RunningNode>
}

export interface ClientFlags extends TargetFlags {
  readonly json?: boolean
}

/** Flags of the commands that ask a running node. */
export function withClientFlags(command: Command): Command {
  return command
    .option('--api <url>', 'node to ask (or TRIFORCE_API); else what "triforce up" started here')
    .option('--key <key>', 'API key (or TRIFORCE_API_KEY)')
    .option('--dir <folder>', 'state folder of the federation or node on this machine (default: ~/.triforce/local)')
    .option('--json', 'print JSON')
}

export async function clientFor(flags: ClientFlags, context: CommandContext): Promise<ApiClient> {
  return createApiClient(await findNode(flags, context.env))
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.print(JSON.stringify(value, (_, member: unknown) => typeof member === 'bigint' ? member.toString() : member))
}
