/**
 * What the visitor has said and the server has not yet taken: sent in order, each exactly once. A message keeps its
 * `echo_id` over every try, and the server carries out a key once, so a try whose answer was lost does no harm. Text
 * outlives a reload of the page; files do not, since no storage of the browser suits them.
 */
import { RequestError } from './http'
import { newId } from './id'

const FIRST_PAUSE = 2_000
const LONGEST_PAUSE = 30_000
/** Who has to wait longer is told so instead. */
const LONGEST_HOLD = 120
/** A new visitor may be about to be known again: nothing is sent before that. */
const SETTLES = 1_000

export interface Outgoing {
  echoId: string
  /** The conversation, or, of one that is yet to begin, a name for it on this side. */
  thread: number | string
  content: string
  files: File[]
  createdAt: number
  replyTo: number | null
  referer: string
  contact: Record<string, unknown>
  attributes: Record<string, unknown>
  /** The server refused it, and trying again with nothing changed would be in vain. */
  failure: string | null
}

/** Sends one message; the answer is the conversation that it went to. */
export type Send = (message: Outgoing) => Promise<number>

export class Outbox {
  readonly #send: Send
  readonly #changed: (messages: Outgoing[]) => void
  #owner: string
  #messages: Outgoing[]
  #isSending = false
  #pause = FIRST_PAUSE
  /** Before this time the server wants to hear nothing. */
  #heldUntil = 0
  #retry: ReturnType<typeof setTimeout> | undefined

  constructor(owner: string, send: Send, changed: (messages: Outgoing[]) => void) {
    this.#owner = owner
    this.#send = send
    this.#changed = changed
    this.#messages = load(owner)
    if (this.#messages.length > 0) changed(this.#messages)
  }

  /** Goes on as somebody else: what the former visitor left unsent is not theirs, unless `take` makes it so. */
  changeOwner(owner: string, take?: (message: Outgoing) => Outgoing): void {
    const taken = take ? this.#messages.map(take) : []
    if (take) this.#update([])
    this.#owner = owner
    this.#messages = load(owner)
    this.#heldUntil = take ? Date.now() + SETTLES : 0
    this.#update([...this.#messages, ...taken])
    this.flush()
  }

  add(message: Outgoing): void {
    this.#update([...this.#messages, message])
    this.flush()
  }

  /** Changes what waits, and sends it. */
  change(change: (message: Outgoing) => Outgoing): void {
    this.#update(this.#messages.map(change))
    this.flush()
  }

  remove(echoId: string): void {
    this.#update(this.#messages.filter((message) => message.echoId !== echoId))
  }

  /** Sends what waits, now: the server may have become reachable. */
  flush(): void {
    clearTimeout(this.#retry)
    const hold = this.#heldUntil - Date.now()
    if (hold > 0) this.#retry = setTimeout(() => this.flush(), hold)
    else void this.#work()
  }

  async #work(): Promise<void> {
    if (this.#isSending) return
    this.#isSending = true
    try {
      for (let next = this.#next(); next; next = this.#next()) {
        if (!(await this.#try(next))) break
      }
    } finally {
      this.#isSending = false
    }
  }

  /** The first that waits, unless an earlier one of its thread was refused: a conversation begins with its first message. */
  #next(): Outgoing | undefined {
    return this.#messages.find(
      (message) =>
        message.failure === null &&
        !(
          typeof message.thread === 'string' &&
          this.#messages.some((m) => m.thread === message.thread && m.failure !== null)
        ),
    )
  }

  /** Whether to go on with the next. */
  async #try(message: Outgoing): Promise<boolean> {
    try {
      const conversation = await this.#send(message)
      this.#pause = FIRST_PAUSE
      const placed = this.#messages.map((m) => (m.thread === message.thread ? { ...m, thread: conversation } : m))
      this.#update(placed.filter((m) => m.echoId !== message.echoId))
      return true
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      // Meanwhile the visitor has become somebody else, and it goes on under another key.
      if (!this.#messages.some((m) => m.echoId === message.echoId)) return this.#heldUntil < Date.now()
      const wait = error.retryAfter ?? 0
      if (!error.isPassing || wait > LONGEST_HOLD) {
        this.#update(this.#messages.map((m) => (m.echoId === message.echoId ? { ...m, failure: error.message } : m)))
        return true
      }
      this.#heldUntil = Date.now() + wait * 1000
      this.#retry = setTimeout(() => this.flush(), wait * 1000 || this.#pause)
      this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2)
      return false
    }
  }

  #update(messages: Outgoing[]): void {
    for (const { echoId } of this.#messages) forget(this.#owner, echoId)
    this.#messages = messages
    for (const message of messages) keep(this.#owner, message)
    this.#changed(messages)
  }
}

/** The message for another try after a refusal: that was not carried out, and its key's answer stands, so under a new key. */
export function renewed(message: Outgoing, thread = message.thread): Outgoing {
  const replyTo = thread === message.thread ? message.replyTo : null
  return { ...message, thread, replyTo, echoId: newId(), failure: null }
}

/** One entry per message, so that two tabs do not overwrite each other's. */
function storageKey(owner: string, echoId: string): string {
  return `konversio-outbox:${owner}:${echoId}`
}

function load(owner: string): Outgoing[] {
  const found: Outgoing[] = []
  attempt(() => {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(storageKey(owner, ''))) continue
      found.push({ ...(JSON.parse(localStorage.getItem(key) ?? '') as Outgoing), files: [] })
    }
  })
  return found.sort((a, b) => a.createdAt - b.createdAt)
}

function keep(owner: string, message: Outgoing): void {
  if (message.files.length > 0) return
  attempt(() => localStorage.setItem(storageKey(owner, message.echoId), JSON.stringify(message)))
}

function forget(owner: string, echoId: string): void {
  attempt(() => localStorage.removeItem(storageKey(owner, echoId)))
}

/** Browsers may forbid storage to frames; then the queue lives as long as the page. */
function attempt(use: () => void): void {
  try {
    use()
  } catch {
    return
  }
}
