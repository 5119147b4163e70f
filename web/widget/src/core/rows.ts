/** How messages follow each other on the screen: days, and within them runs of one speaker. */
import { isTheirs } from './messages'
import { startOfDay } from './time'
import type { Message, Sender } from './types'

const PAUSE = 5 * 60

export type Row =
  | { kind: 'day'; key: string; at: number }
  | {
      kind: 'message'
      key: string
      message: Message
      isTheirs: boolean
      sender: Sender | null
      isFirst: boolean
      isLast: boolean
    }

/** The rows of a list of messages, oldest first. */
export function rows(messages: Message[]): Row[] {
  const found: Row[] = []
  for (const [at, message] of messages.entries()) {
    const [before, after] = [messages[at - 1], messages[at + 1]]
    const day = startOfDay(message.created_at * 1000)
    if (!before || startOfDay(before.created_at * 1000) !== day) {
      found.push({ kind: 'day', key: `day-${day}`, at: message.created_at })
    }
    found.push({
      kind: 'message',
      key: `message-${message.id}`,
      message,
      isTheirs: isTheirs(message),
      sender: message.sender ?? null,
      isFirst: !before || !isOneRun(before, message),
      isLast: !after || !isOneRun(message, after),
    })
  }
  return found
}

function isOneRun(one: Message, next: Message): boolean {
  return (
    isTheirs(one) === isTheirs(next) &&
    one.sender?.id === next.sender?.id &&
    one.sender?.type === next.sender?.type &&
    next.created_at - one.created_at < PAUSE &&
    startOfDay(one.created_at * 1000) === startOfDay(next.created_at * 1000)
  )
}
