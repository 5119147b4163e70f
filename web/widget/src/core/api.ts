/** The endpoints of the widget (contract 6.4); `web/README.md` lists them with what differs from the contract. */
import { request, RequestError } from './http'
import type { Agent, Campaign, Contact, Conversation, Message } from './types'

/** What is said with a message besides its words. */
export interface Words {
  content: string
  timestamp: string
  referer_url: string
  echo_id: string
  reply_to: number | null
}

type Attributes = Record<string, unknown>

class Api {
  websiteToken = ''
  authToken = ''
  locale = ''
  /** Makes a new visitor, once the server no longer knows the one whom the token names. */
  onUnknown = async (): Promise<void> => {}
  #renewal: Promise<void> | null = null

  conversations(): Promise<{ payload: Conversation[] }> {
    return this.#ask('GET', 'conversations/all')
  }

  /** A page of messages, oldest first; `before` an id for older ones. */
  messages(conversation: number, before?: number): Promise<{ payload: Message[] }> {
    return this.#ask('GET', 'messages', { conversation_id: conversation, before })
  }

  /** Begins a conversation with its first message. */
  createConversation(
    words: Words,
    files: File[],
    contact: object,
    attributes: Attributes,
    labels: string[],
  ): Promise<Conversation & { messages: Message[] }> {
    const body = { contact, message: words, custom_attributes: attributes, labels }
    return this.#ask('POST', 'conversations', {}, withFiles(body, files), words.echo_id)
  }

  createMessage(conversation: number, words: Words, files: File[]): Promise<Message> {
    const query = { conversation_id: conversation }
    return this.#ask('POST', 'messages', query, withFiles({ message: words }, files), words.echo_id)
  }

  /** Answers a form, a choice, a survey, or the question for the e-mail address. */
  answer(message: number, values: unknown, email?: string): Promise<unknown> {
    const body = { message: { submitted_values: values }, ...(email ? { contact: { email } } : {}) }
    return this.#ask('PATCH', `messages/${message}`, {}, body)
  }

  typing(conversation: number, isTyping: boolean): Promise<void> {
    const body = { typing_status: isTyping ? 'on' : 'off' }
    return this.#ask('POST', 'conversations/toggle_typing', { conversation_id: conversation }, body)
  }

  seen(conversation: number): Promise<void> {
    const body = { contact_last_seen_at: Math.floor(Date.now() / 1000) }
    return this.#ask('POST', 'conversations/update_last_seen', { conversation_id: conversation }, body)
  }

  resolve(conversation: number): Promise<void> {
    return this.#ask('GET', 'conversations/toggle_status', { conversation_id: conversation })
  }

  transcript(conversation: number): Promise<void> {
    return this.#ask('POST', 'conversations/transcript', { conversation_id: conversation }, {})
  }

  setConversationAttributes(custom_attributes: Attributes): Promise<unknown> {
    return this.#ask('POST', 'conversations/set_custom_attributes', {}, { custom_attributes })
  }

  removeConversationAttribute(key: string): Promise<unknown> {
    return this.#ask('POST', 'conversations/destroy_custom_attributes', {}, { custom_attribute: [key] })
  }

  contact(): Promise<Contact> {
    return this.#ask('GET', 'contact')
  }

  updateContact(fields: Attributes): Promise<Contact> {
    return this.#ask('PATCH', 'contact', {}, fields)
  }

  setUser(fields: Attributes): Promise<Contact & { widget_auth_token?: string }> {
    return this.#ask('PATCH', 'contact/set_user', {}, fields)
  }

  removeContactAttribute(key: string): Promise<unknown> {
    return this.#ask('POST', 'contact/destroy_custom_attributes', {}, { custom_attributes: [key] })
  }

  /** Who the visitor is now; of a token that names nobody the server makes somebody new. */
  config(): Promise<{ website_channel_config: { auth_token: string }; contact: { pubsub_token: string } }> {
    return this.#ask('POST', 'config', {}, {})
  }

  agents(): Promise<{ payload: Agent[] }> {
    return this.#ask('GET', 'inbox_members')
  }

  campaigns(): Promise<Campaign[]> {
    return this.#ask('GET', 'campaigns')
  }

  event(name: string, event_info: object): Promise<void> {
    return this.#ask('POST', 'events', {}, { name, event_info })
  }

  addLabel(label: string): Promise<void> {
    return this.#ask('POST', 'labels', {}, { label })
  }

  removeLabel(label: string): Promise<void> {
    return this.#ask('DELETE', `labels/${encodeURIComponent(label)}`)
  }

  #ask<T>(method: string, path: string, query: Record<string, unknown> = {}, body?: object, key?: string): Promise<T> {
    const all = new URLSearchParams({ website_token: this.websiteToken })
    if (this.locale) all.set('locale', this.locale)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) all.set(name, String(value))
    }
    const headers = { 'X-Auth-Token': this.authToken, ...(key ? { 'Idempotency-Key': key } : {}) }
    return request<T>(method, `/api/v1/widget/${path}?${all}`, headers, body).catch((error: unknown) =>
      this.#explain(error, path, headers['X-Auth-Token']),
    )
  }

  /** Where the visitor is unknown, a new one is made, once; what was asked was the former one's, so it fails for now. */
  async #explain(error: unknown, path: string, token: string): Promise<never> {
    if (error instanceof RequestError && isOfToken(error.status, path)) {
      if (token === this.authToken && !this.#renewal) {
        this.#renewal = this.onUnknown()
        // One that could not be made is asked for again with the next request.
        this.#renewal.catch(() => (this.#renewal = null))
      }
      await this.#renewal
      if (token !== this.authToken) throw new RequestError(0, '')
    }
    throw error
  }
}

/** The one server; it is told at the start as whom to ask. */
export const api = new Api()

/** Whether an answer means that the token names nobody: there is always a list, and a user may be refused for a wrong hash. */
function isOfToken(status: number, path: string): boolean {
  if (path === 'config' || path === 'contact/set_user') return false
  return status === 401 || (status === 404 && (path === 'contact' || path === 'conversations/all'))
}

/** The body as it is, or as a form with bracketed names where files go with it. */
function withFiles(body: object, files: File[]): object {
  if (files.length === 0) return body
  const form = new FormData()
  for (const [name, value] of Object.entries(body)) appendTo(form, name, value)
  for (const file of files) form.append('message[attachments][]', file)
  return form
}

function appendTo(form: FormData, name: string, value: unknown): void {
  if (Array.isArray(value)) for (const item of value) appendTo(form, `${name}[]`, item)
  else if (typeof value === 'object' && value !== null) {
    for (const [inner, item] of Object.entries(value)) appendTo(form, `${name}[${inner}]`, item)
  } else if (value !== null && value !== undefined) form.append(name, String(value))
}
