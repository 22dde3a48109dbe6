/**
 * Ports: what the pure parts need from the world. They are handed in, never imported, so a test or a simulator
 * can replace every one of them. `bootstrap/system.ts` makes the real ones.
 */

/** Wall clock and timers. Times are Unix milliseconds, durations are milliseconds. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number
  /** Milliseconds that never run backwards, from an arbitrary start; for durations. */
  monotonicMs(): number
  /** Calls `run` once after `delayMs`; gives a function that cancels it. The timer does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void
}

/** Random numbers: cryptographic in production, seeded in tests. */
export interface Random {
  bytes(length: number): Uint8Array
  /** A number in [0, 1). */
  unit(): number
}

/** Context of a log line: short values only. Prompts, keys and raw peer bytes never go here. */
export type LogContext = Readonly<Record<string, string | number | boolean | undefined>>

/** error = someone must act; warn = may need to; info = rare and useful; debug = per request. */
export interface Log {
  debug(text: string, context?: LogContext): void
  info(text: string, context?: LogContext): void
  warn(text: string, context?: LogContext): void
  error(text: string, context?: LogContext): void
  /** A log whose lines carry the name of a part. */
  child(part: string): Log
}

/** An Ed25519 key that signs. The private half never leaves the object. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes over exactly these bytes. */
  sign(bytes: Uint8Array): Uint8Array
}
