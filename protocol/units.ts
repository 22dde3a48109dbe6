/** Units of money. 1 credit = 1,000,000 microcredits (µcr); only integers are ever stored or computed with. */

export const MICRO_CREDITS_PER_CREDIT = 1_000_000n

/** Microcredits as a decimal number of credits without loss, for people: `1500000n` gives `1.5`. */
export function formatCredits(microCredits: bigint): string {
  const sign = microCredits < 0n ? '-' : ''
  const absolute = microCredits < 0n ? -microCredits : microCredits
  const whole = absolute / MICRO_CREDITS_PER_CREDIT
  const fraction = (absolute % MICRO_CREDITS_PER_CREDIT).toString().padStart(6, '0').replace(/0+$/, '')
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`
}

/**
 * A decimal number of credits as microcredits.
 * Gives undefined where the text is no number or has more than six decimals.
 */
export function parseCredits(text: string): bigint | undefined {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,6}))?$/.exec(text)
  if (match === null) return undefined
  const [, sign, whole, fraction] = match
  const amount = BigInt(whole!) * MICRO_CREDITS_PER_CREDIT + BigInt((fraction ?? '').padEnd(6, '0'))
  return sign === '-' ? -amount : amount
}
