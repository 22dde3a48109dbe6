/** A log for tests: silent, or on stderr with TRIFORCE_TEST_LOG=1. */
import type { Log, LogContext } from '../../protocol/ports.ts'

export function quietLog(part = 'test'): Log {
  const write = (level: string) => (text: string, context?: LogContext) => {
    if (process.env['TRIFORCE_TEST_LOG'] === '1') process.stderr.write(`${level} ${part}: ${text} ${JSON.stringify(context ?? {})}\n`)
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: (name) => quietLog(`${part}/${name}`) }
}
