/**
 * The compute devices of a contributor by name, as receipts and presence speak of them. Takes the announced GPUs; gives
 * one device for each, or the processor where there is none. Equal GPUs are told apart by a number.
 */
import type { DeviceHardware } from '../../ledger/interface.ts'
import type { Gpu } from '../../protocol/messages/capacity.ts'

/** What a machine without a GPU computes with. */
export const CPU_DEVICE: DeviceHardware = { device: 'cpu', name: 'cpu', vramBytes: 0 }

/** Leaves room for the number within the 256 characters of a device's name. */
const NAME_CHARS_MAX = 240

export function devicesOf(gpus: readonly Pick<Gpu, 'name' | 'vramBytes'>[]): readonly DeviceHardware[] {
  if (gpus.length === 0) return [CPU_DEVICE]
  const times = new Map<string, number>()
  return gpus.map(({ name, vramBytes }) => {
    const short = name.slice(0, NAME_CHARS_MAX)
    const count = (times.get(short) ?? 0) + 1
    times.set(short, count)
    return { device: count === 1 ? short : `${short} #${count}`, name, vramBytes }
  })
}
