/** Lists of messages: how what is fetched and what is pushed become one list, each message in it once. */
import { INCOMING, type Message } from './types'

/** The list with these messages in it, by id; one that is there already is replaced. */
export function merge(list: Message[], added: Message[]): Message[] {
  const all = new Map(list.map((message) => [message.id, message]))
  for (const message of added) {
    const known = all.get(message.id)
    all.set(message.id, known ? { ...known, ...message } : message)
  }
  return [...all.values()].filter(isShown).sort((a, b) => a.id - b.id)
}

/** The list after the newest page was fetched; if the two do not touch, there is a gap, and the page alone is kept. */
export function refresh(list: Message[], page: Message[]): Message[] {
  const [newest, oldest] = [list.at(-1), page[0]]
  const touches = newest && oldest && oldest.id <= newest.id
  return touches ? merge(list, page) : merge([], page)
}

/** Messages of the team and of bots, as opposed to the visitor's own. */
export function isTheirs(message: Message): boolean {
  return message.message_type !== INCOMING
}

function isShown(message: Message): boolean {
  return !message.private && message.message_type !== 2
}
