/** Priority of the plan's tiers: a lower number is served first. Unknown tiers wait with the free ones. */
const priorities: Readonly<Record<string, number>> = { unlimited: 0, enterprise: 1, pro: 1, contributor: 2, free: 3 }

export function priorityOf(tier: string): number {
  return priorities[tier] ?? priorities['free']!
}
