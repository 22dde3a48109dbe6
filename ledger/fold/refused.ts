/** What the fold says of an entry that no honest hub logs. The entry has changed nothing. */

export class EntryRefused extends Error {
  override readonly name = 'EntryRefused'
  /** A few words: what is wrong with the entry. */
  readonly problem: string

  constructor(problem: string) {
    super(`the entry is refused: ${problem}`)
    this.problem = problem
  }
}

export function refuse(problem: string): never {
  throw new EntryRefused(problem)
}
