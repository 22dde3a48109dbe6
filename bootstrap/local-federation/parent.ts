/** The `up` that started this process, over Node's IPC channel. There is none where a person started it. */
import { childMessageSchema, parentMessageSchema, type ChildMessage, type ParentMessage } from './messages.ts'

export interface Parent {
  /** False once `up` is gone. */
  readonly connected: boolean
  tell(message: ChildMessage): void
  onMessage(listener: (message: ParentMessage) => void): void
  /** An open channel keeps this process alive. */
  leave(): void
}

export function parentOf(process: NodeJS.Process): Parent | undefined {
  if (!process.connected) return undefined
  return {
    get connected() { return process.connected },
    tell: (message) => {
      // The parent may be gone in this very moment; then there is nobody to tell, and its going stops this node.
      if (process.connected) process.send?.(childMessageSchema.parse(message), undefined, {}, () => {})
    },
    onMessage: (listener) => {
      process.on('message', (message) => {
        const parsed = parentMessageSchema.safeParse(message)
        if (parsed.success) listener(parsed.data)
      })
    },
    leave: () => {
      if (process.connected) process.disconnect()
    },
  }
}
