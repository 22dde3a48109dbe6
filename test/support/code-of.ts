/** The code with which a promise or a call fails; `none` where it does not. */
export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work)
    return 'none'
  } catch (error) {
    return (error as { code?: string }).code ?? `not a TriforceError: ${String(error)}`
  }
}

/** What a promise has come to so far: `pending` until it settles, then its value or the code of its error. */
export function watched<Value>(promise: Promise<Value>): { readonly state: 'pending' | 'done' | 'failed'; readonly value: Value | undefined; readonly code: string | undefined } {
  const seen: { state: 'pending' | 'done' | 'failed'; value: Value | undefined; code: string | undefined } = { state: 'pending', value: undefined, code: undefined }
  promise.then(
    (value) => { Object.assign(seen, { state: 'done', value }) },
    (error: unknown) => { Object.assign(seen, { state: 'failed', code: (error as { code?: string }).code ?? String(error) }) },
  )
  return seen
}
