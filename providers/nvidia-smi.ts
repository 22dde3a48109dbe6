/**
 * What NVIDIA's driver says of its cards. `nvidia-smi` is asked directly, and not only through systeminformation: that
 * finds cards with `lspci`, which containers and small servers do not have.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Gpu } from '../protocol/messages/capacity.ts'

export interface NvidiaReport {
  readonly gpus: readonly Gpu[]
  /** Such as `550.90.07`; undefined where there is no driver. */
  readonly driver: string | undefined
  /** Newest CUDA that the driver can run, such as `12.4`. */
  readonly cuda: string | undefined
}

const MIB = 1024 * 1024
const OUTPUT_BYTES_MAX = 256 * 1024
const QUERY = ['--query-gpu=driver_version,name,memory.total,memory.free', '--format=csv,noheader,nounits']

/** Nothing in the report where there is no `nvidia-smi` or it fails. */
export async function readNvidia(waitMsMax: number): Promise<NvidiaReport> {
  const [table, banner] = await Promise.all([nvidiaSmi(QUERY, waitMsMax), nvidiaSmi([], waitMsMax)])
  return { ...parseNvidiaTable(table), cuda: parseCudaVersion(banner) }
}

/** The four columns of QUERY, one line a card; a card that answers `[N/A]` or an error is left out. */
export function parseNvidiaTable(text: string): Pick<NvidiaReport, 'gpus' | 'driver'> {
  const rows = text.split('\n').map((line) => line.split(',').map((cell) => cell.trim())).filter((row) => row.length === 4)
  const gpus = rows.flatMap(([, name = '', total = '', free = '']): Gpu[] => {
    const vramBytes = mib(total)
    if (name === '' || vramBytes === 0) return []
    return [{ name: name.slice(0, 256), vramBytes, vramFreeBytes: /^\d/.test(free) ? Math.min(mib(free), vramBytes) : vramBytes }]
  })
  const driver = rows[0]?.[0]
  return { gpus, driver: driver !== undefined && /^\d/.test(driver) ? driver : undefined }
}

/** From the table that `nvidia-smi` prints: `CUDA Version: 12.4`. */
export function parseCudaVersion(text: string): string | undefined {
  return /CUDA(?: UMD)? Version\s*:\s*(\d+(?:\.\d+)*)/.exec(text)?.[1]
}

function mib(text: string): number {
  return /^\d+(?:\.\d+)?$/.test(text) ? Math.floor(Number(text) * MIB) : 0
}

async function nvidiaSmi(args: readonly string[], waitMsMax: number): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', args, { timeout: waitMsMax, maxBuffer: OUTPUT_BYTES_MAX, windowsHide: true })
    return stdout
  } catch {
    return ''
  }
}
