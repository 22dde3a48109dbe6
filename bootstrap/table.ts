/** Tables for people: aligned columns, two spaces between them, never wider than TABLE_WIDTH_MAX. */
import { cut, letters, printable } from './terminal.ts'

export const TABLE_WIDTH_MAX = 100

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** Gives way first where the table is too wide. */
  readonly shrink?: boolean
}

const GAP = '  '
const SHRUNK_WIDTH_MIN = 8

export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map((cell) => printable(cell)))]
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => letters(row[index] ?? '').length)))
  shrinkToFit(columns, widths)
  return cells.map((row) => columns.map((column, index) => {
    const text = cut(row[index] ?? '', widths[index]!)
    const padding = ' '.repeat(widths[index]! - letters(text).length)
    return column.align === 'right' ? padding + text : text + padding
  }).join(GAP).trimEnd())
}

function shrinkToFit(columns: readonly Column[], widths: number[]): void {
  const excess = (): number => widths.reduce((sum, width) => sum + width, 0) + GAP.length * (columns.length - 1) - TABLE_WIDTH_MAX
  for (const index of columns.keys()) {
    if (columns[index]?.shrink === true) widths[index] = Math.max(Math.min(widths[index]!, SHRUNK_WIDTH_MIN), widths[index]! - Math.max(0, excess()))
  }
}

/** `name  value` lines with aligned values. */
export function formatPairs(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}${GAP}${printable(value)}`)
}

/** `812 B`, `3.4 MB`: units of 1,000, as links and disks have them. */
export function formatBytes(bytes: number): string {
  let value = bytes
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 1_000) return `${unit === 'B' ? value : value.toFixed(1)} ${unit}`
    value /= 1_000
  }
  return `${value.toFixed(1)} TB`
}

export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** UTC, to the second: `2026-03-01 12:00:00`. */
export function formatTime(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 19).replace('T', ' ')
}
