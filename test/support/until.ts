/** Waits for a condition: asks again in short turns and fails with `what` after `waitMsMax`. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, waitMsMax = 8_000): Promise<void> {
  const deadline = performance.now() + waitMsMax
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${waitMsMax} ms in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
