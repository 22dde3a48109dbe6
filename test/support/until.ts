/** Waits for a condition: asks again each `everyMs` and fails with `what` after `waitMsMax`. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, waitMsMax = 8_000, everyMs = 5): Promise<void> {
  const deadline = performance.now() + waitMsMax
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${waitMsMax} ms in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
