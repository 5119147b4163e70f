/** The visitor's conversations, the messages of the one that is open, and what is still to be sent. */
import { api } from '../core/api'
import { post } from '../core/host'
import { RequestError } from '../core/http'
import { newId } from '../core/id'
import { isTheirs, merge, refresh } from '../core/messages'
import { preChatFields } from '../core/pre_chat'
import { Outbox, renewed, type Outgoing } from '../core/outbox'
import { INCOMING, type Contact, type Conversation, type Message, type Sender } from '../core/types'
import { settings } from './settings.svelte'
import { view } from './view.svelte'

const PAGE = 20
const TYPING_LASTS = 30_000

/** What the pre-chat form said, to go with the first message. */
export interface Introduction {
  contact: Record<string, unknown>
  attributes: Record<string, unknown>
}

class Chat {
  conversations = $state.raw<Conversation[]>([])
  contact = $state.raw<Contact>({})
  /** The open conversation: its id, or, until its first message has arrived, a name of our own. */
  thread = $state.raw<number | string | null>(null)
  messages = $state.raw<Message[]>([])
  outgoing = $state.raw<Outgoing[]>([])
  typing = $state.raw<Sender | null>(null)
  replyTo = $state.raw<Message | null>(null)
  hasOlder = $state.raw(false)
  isLoading = $state.raw(false)
  referer = document.referrer
  /** What is written and not yet sent, by conversation. */
  readonly #drafts = new Map<number | string, string>()
  /** Attributes and labels that were set before there was a conversation to set them on. */
  waitingAttributes: Record<string, unknown> = {}
  waitingLabels: string[] = []
  #introduction: Introduction = { contact: {}, attributes: {} }
  #outbox!: Outbox
  #pushed = 0
  #typingEnds: ReturnType<typeof setTimeout> | undefined

  current = $derived(this.conversations.find(({ id }) => id === this.thread) ?? null)
  unread = $derived(this.conversations.reduce((sum, { unread_count }) => sum + unread_count, 0))
  /** Of the open conversation, what is not yet among its messages. */
  pending = $derived.by(() => {
    const arrived = new Set(this.messages.map(({ echo_id }) => echo_id))
    return this.outgoing.filter(({ thread, echoId }) => thread === this.thread && !arrived.has(echoId))
  })
  isEnded = $derived(this.current?.status === 'resolved' && !settings.channel.allowMessagesAfterResolved)

  start(pubsubToken: string): void {
    this.#outbox = new Outbox(
      owner(pubsubToken),
      (message) => this.#deliver(message),
      (messages) => (this.outgoing = messages),
    )
  }

  /** Everything anew, for a visitor who is now somebody else. What is typed goes along into a new conversation, or is left. */
  async changeOwner(pubsubToken: string, goesAlong: boolean): Promise<void> {
    const thread = newThread()
    this.conversations = []
    this.contact = {}
    if (!goesAlong) {
      this.#drafts.clear()
      this.leave()
    } else if (this.thread !== null) this.#reset(thread)
    this.#outbox.changeOwner(owner(pubsubToken), goesAlong ? (message) => renewed(message, thread) : undefined)
    await this.refresh()
  }

  /** Fetches what may have been missed. */
  async refresh(): Promise<void> {
    for (let pushed = -1; pushed !== this.#pushed;) {
      // What is pushed meanwhile may be newer than the answer: then asked again.
      pushed = this.#pushed
      const [{ payload }, contact] = await Promise.all([api.conversations(), api.contact()])
      this.conversations = payload.sort(latestFirst)
      this.contact = contact ?? {}
    }
    if (typeof this.thread === 'number') await this.#loadNewest(this.thread)
    this.#outbox.flush()
  }

  /** Shows a conversation, with its newest messages. */
  async open(thread: number): Promise<void> {
    if (this.thread !== thread) this.#reset(thread)
    view.go('chat')
    await this.#loadNewest(thread)
  }

  /** The visitor wants to say something new: first the form, where there is one and something in it is not yet known. */
  begin(): void {
    const data = { hasConversation: this.conversations.length > 0 }
    post('onEvent', { eventIdentifier: 'chatwoot:on-start-conversation', data })
    if (preChatFields(settings.channel, this.contact).length > 0) view.go('preChat')
    else this.openNew()
  }

  /** Shows an empty conversation; it begins with what is sent. */
  openNew(introduction: Introduction = { contact: {}, attributes: {} }): void {
    const unsent = this.outgoing.find(({ thread }) => typeof thread === 'string')
    this.#introduction = introduction
    this.#reset(unsent?.thread ?? newThread())
    view.go('chat')
  }

  get draft(): string {
    return this.#drafts.get(this.#draftKey) ?? ''
  }

  set draft(text: string) {
    if (this.thread !== null) this.#drafts.set(this.#draftKey, text)
  }

  leave(): void {
    this.#reset(null)
    view.go('home')
  }

  async loadOlder(): Promise<void> {
    const [thread, oldest] = [this.thread, this.messages[0]]
    if (typeof thread !== 'number' || !oldest || this.isLoading) return
    this.isLoading = true
    try {
      const { payload } = await api.messages(thread, oldest.id)
      if (thread !== this.thread) return
      this.messages = merge(this.messages, payload)
      this.hasOlder = payload.length >= PAGE
    } finally {
      this.isLoading = false
    }
  }

  send(content: string, files: File[]): void {
    if (this.thread === null) return
    this.#outbox.add({
      echoId: newId(),
      thread: this.thread,
      content,
      files,
      createdAt: Date.now(),
      replyTo: this.replyTo?.id ?? null,
      referer: this.referer,
      contact: this.#introduction.contact,
      attributes: this.#introduction.attributes,
      failure: null,
    })
    this.replyTo = null
  }

  /** Tries a refused message again; where its conversation is no more, all that waits for it begins another. */
  retry(echoId: string): void {
    const { thread } = this
    if (typeof thread === 'number' && !this.current) {
      const next = newThread()
      this.#reset(next)
      this.#outbox.change((message) => (message.thread === thread ? renewed(message, next) : message))
    } else this.#outbox.change((message) => (message.echoId === echoId ? renewed(message) : message))
  }

  discard(echoId: string): void {
    this.#outbox.remove(echoId)
  }

  /** Sends what waits: the server can be reached again. */
  flush(): void {
    this.#outbox.flush()
  }

  tellTyping(isTyping: boolean): void {
    if (typeof this.thread === 'number') api.typing(this.thread, isTyping).catch(() => {})
  }

  /** Tells the server that the open conversation was read, if anything in it was not. */
  markSeen(): void {
    const conversation = this.current
    if (!conversation || conversation.unread_count === 0) return
    this.#change(conversation.id, { unread_count: 0, contact_last_seen_at: Math.floor(Date.now() / 1000) })
    api.seen(conversation.id).catch(() => {})
  }

  async end(): Promise<void> {
    if (!this.current) return
    await api.resolve(this.current.id)
    this.#change(this.current.id, { status: 'resolved' })
  }

  async requestTranscript(): Promise<void> {
    if (this.current) await api.transcript(this.current.id)
  }

  /** Answers a form, a choice or a survey; it shows as answered once the server has it. */
  async answer(message: Message, values: unknown, email?: string): Promise<void> {
    await api.answer(message.id, values, email)
    const content_attributes = { ...message.content_attributes, submitted_values: values }
    if (email) Object.assign(content_attributes, { submitted_email: email })
    this.messages = merge(this.messages, [{ ...message, content_attributes }])
  }

  /** A message was pushed. Whether it came unseen is what the answer says. */
  receive(message: Message, isSeen: boolean): void {
    this.#pushed++
    const known = this.conversations.find(({ id }) => id === message.conversation_id)
    if (message.conversation_id === this.thread) this.messages = merge(this.messages, [message])
    if (message.private || message.message_type === 2) return
    if (isTheirs(message)) this.setTyping(message.conversation_id, null)
    if (!known) return void this.refresh().catch(() => {})
    const isNews = isTheirs(message) && !(isSeen && message.conversation_id === this.thread)
    const unread_count = known.unread_count + (isNews ? 1 : 0)
    this.#change(known.id, { last_message: message, last_activity_at: message.created_at, unread_count })
    if (isTheirs(message) && !isNews) api.seen(known.id).catch(() => {})
  }

  /** A message was changed: answered, deleted, delivered. */
  update(message: Message): void {
    const isKnown = this.messages.some(({ id }) => id === message.id)
    if (isKnown && message.conversation_id === this.thread) this.messages = merge(this.messages, [message])
  }

  updateConversation({ id, status, agent_last_seen_at }: Partial<Conversation>): void {
    if (id === undefined) return
    const changes: Partial<Conversation> = {}
    if (status) changes.status = status
    if (agent_last_seen_at) changes.agent_last_seen_at = agent_last_seen_at
    this.#change(id, changes)
  }

  setTyping(conversation: number, who: Sender | null): void {
    if (conversation !== this.thread) return
    clearTimeout(this.#typingEnds)
    this.typing = who
    if (who) this.#typingEnds = setTimeout(() => (this.typing = null), TYPING_LASTS)
  }

  /** All that is yet to begin is one. */
  get #draftKey(): number | string {
    return typeof this.thread === 'number' ? this.thread : 'new'
  }

  async #loadNewest(thread: number): Promise<void> {
    this.isLoading = this.messages.length === 0
    try {
      const { payload } = await api.messages(thread)
      if (thread !== this.thread) return
      const before = this.messages[0]?.id
      this.messages = refresh(this.messages, payload)
      if (before === undefined || this.messages[0]?.id !== before) this.hasOlder = payload.length >= PAGE
    } finally {
      this.isLoading = false
    }
  }

  async #deliver(message: Outgoing): Promise<number> {
    const words = {
      content: message.content,
      timestamp: new Date(message.createdAt).toISOString(),
      referer_url: message.referer,
      echo_id: message.echoId,
      reply_to: message.replyTo,
    }
    const { thread, files } = message
    if (typeof thread === 'number') {
      const sent = await api.createMessage(thread, words, files).catch((error: unknown) => {
        // The conversation is gone, or the visitor is: the list says which.
        if (error instanceof RequestError && error.status === 404) void this.refresh().catch(() => {})
        throw error
      })
      this.#sent(thread, { ...sent, echo_id: message.echoId })
      return thread
    }
    const attributes = { ...this.waitingAttributes, ...message.attributes }
    const begun = await api.createConversation(words, files, message.contact, attributes, this.waitingLabels)
    this.waitingAttributes = {}
    this.waitingLabels = []
    this.#begun(thread, begun)
    return begun.id
  }

  #begun(thread: string, begun: Conversation & { messages: Message[] }): void {
    const { messages, ...conversation } = begun
    const fresh: Conversation = {
      ...conversation,
      created_at: conversation.created_at ?? Math.floor(Date.now() / 1000),
      last_activity_at: Math.floor(Date.now() / 1000),
      agent_last_seen_at: conversation.agent_last_seen_at ?? 0,
      unread_count: 0,
      last_message: messages.at(-1) ?? null,
    }
    this.conversations = [fresh, ...this.conversations.filter(({ id }) => id !== begun.id)]
    if (this.thread !== thread) return
    this.messages = merge(this.messages, messages)
    this.thread = begun.id
  }

  #sent(conversation: number, message: Message): void {
    const complete = { ...message, conversation_id: conversation, message_type: message.message_type ?? INCOMING }
    if (conversation === this.thread) this.messages = merge(this.messages, [complete])
    this.#change(conversation, { last_message: complete, last_activity_at: complete.created_at })
  }

  #change(id: number, changes: Partial<Conversation>): void {
    this.conversations = this.conversations
      .map((conversation) => (conversation.id === id ? { ...conversation, ...changes } : conversation))
      .sort(latestFirst)
  }

  #reset(thread: number | string | null): void {
    this.thread = thread
    this.messages = []
    this.typing = null
    this.replyTo = null
    this.hasOlder = false
  }
}

export const chat = new Chat()

/** A name of our own for a conversation that is yet to begin. */
function newThread(): string {
  return `new-${newId()}`
}

/** A name for the visitor, to keep unsent messages by: enough of the token to tell two apart, too little to use it. */
function owner(pubsubToken: string): string {
  return pubsubToken.slice(0, 8)
}

function latestFirst(a: Conversation, b: Conversation): number {
  return b.last_activity_at - a.last_activity_at
}
