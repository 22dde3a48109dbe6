/** How far a transfer is: a bar on a terminal, else a line for each tenth, so that a log stays short. */
import { Presets, SingleBar } from 'cli-progress'
import type { Terminal } from './terminal.ts'

export interface TransferState {
  /** What is done now, such as `loading` or `checking what is here`. */
  readonly what: string
  readonly doneBytes: number
  /** Undefined or 0: not known. */
  readonly totalBytes: number | undefined
}

export interface TransferBar {
  show(state: TransferState): void
  stop(): void
}

const MB = 1e6

export function createTransferBar(terminal: Terminal, stream: NodeJS.WritableStream = process.stderr): TransferBar {
  return terminal.stderrIsTty ? bar(stream) : lines(terminal)
}

function bar(stream: NodeJS.WritableStream): TransferBar {
  const single = new SingleBar({
    format: '{what} [{bar}] {percentage}% of {size}  {speed}  {eta_formatted} left', stream, hideCursor: true, clearOnComplete: true, etaBuffer: 50, barsize: 28,
  }, Presets.legacy)
  let running = false
  let started = { what: '', atMs: 0, bytes: 0 }

  return {
    show({ what, doneBytes, totalBytes }) {
      const total = totalBytes === undefined || totalBytes === 0 ? doneBytes : totalBytes
      const nowMs = performance.now()
      if (what !== started.what) started = { what, atMs: nowMs, bytes: doneBytes }
      const seconds = (nowMs - started.atMs) / 1_000
      const payload = { what, size: sizeText(total), speed: seconds < 0.5 ? '' : `${((doneBytes - started.bytes) / MB / seconds).toFixed(1)} MB/s` }
      if (!running) single.start(total, doneBytes, payload)
      running = true
      single.setTotal(total)
      single.update(doneBytes, payload)
    },
    stop() {
      if (running) single.stop()
      running = false
    },
  }
}

function lines(terminal: Terminal): TransferBar {
  let told = ''
  return {
    show({ what, doneBytes, totalBytes }) {
      const tenth = totalBytes === undefined || totalBytes === 0 ? 0 : Math.floor((doneBytes / totalBytes) * 10)
      const line = totalBytes === undefined || totalBytes === 0 ? what : `${what}: ${tenth * 10}% of ${sizeText(totalBytes)}`
      if (line === told) return
      told = line
      terminal.note(line)
    },
    stop() {},
  }
}

/** `4.92 GB`, as shops and Hugging Face count. */
export function sizeText(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / MB).toFixed(1)} MB`
}
