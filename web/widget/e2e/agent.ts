/** Somebody of the team, as another program has it: the REST API, and the socket that tells what happens. */
import { expect } from '@playwright/test'
import { WebSocket } from 'ws'

export interface Inbox {
  id: number
  name: string
  website_token: string
  web_widget_script: string
  hmac_token: string
}

export interface Contact {
  id: number
  name: string
  email: string | null
  phone_number: string | null
  identifier: string | null
  custom_attributes: Record<string, unknown>
}

export interface Attachment {
  file_type: string
  data_url: string
}

export interface Message {
  id: number
  content: string | null
  conversation_id: number
  message_type: number
  content_type: string
  content_attributes: Record<string, unknown>
  attachments?: Attachment[]
}

export interface Conversation {
  id: number
  uuid: string
  status: string
  additional_attributes: Record<string, unknown>
  custom_attributes: Record<string, unknown>
  meta: { sender: Contact }
}

export class Agent {
  readonly url: string
  readonly #token: string

  constructor(url: string, token: string) {
    this.url = url
    this.#token = token
  }

  get<T>(path: string): Promise<T> {
    return this.#ask('GET', path)
  }

  post<T>(path: string, body: object = {}): Promise<T> {
    return this.#ask('POST', path, body)
  }

  patch<T>(path: string, body: object): Promise<T> {
    return this.#ask('PATCH', path, body)
  }

  /** All conversations of an inbox, the latest first. */
  async conversations(inbox: Inbox): Promise<Conversation[]> {
    const query = `status=all&inbox_id=${inbox.id}`
    const { data } = await this.get<{ data: { payload: Conversation[] } }>(`/conversations?${query}`)
    return data.payload
  }

  /** The only conversation of an inbox. */
  async conversation(inbox: Inbox): Promise<Conversation> {
    const all = await this.conversations(inbox)
    expect(all).toHaveLength(1)
    return all[0]!
  }

  async messages(conversation: number): Promise<Message[]> {
    return (await this.get<{ payload: Message[] }>(`/conversations/${conversation}/messages`)).payload
  }

  /** What the visitor has written in a conversation. */
  async written(conversation: number): Promise<(string | null)[]> {
    const messages = await this.messages(conversation)
    return messages.filter(({ message_type }) => message_type === 0).map(({ content }) => content)
  }

  say(conversation: number, content: string): Promise<Message> {
    return this.post(`/conversations/${conversation}/messages`, { content })
  }

  resolve(conversation: number): Promise<unknown> {
    return this.post(`/conversations/${conversation}/toggle_status`, { status: 'resolved' })
  }

  contact(id: number): Promise<{ payload: Contact }> {
    return this.get(`/contacts/${id}`)
  }

  /** Listens as whom the token names, which also makes them present. */
  async listen(): Promise<Cable> {
    const { id, pubsub_token } = await this.get<{ id: number; pubsub_token: string }>('/api/v1/profile')
    return Cable.open(this.url, { channel: 'RoomChannel', pubsub_token, account_id: 1, user_id: id })
  }

  async #ask<T>(method: string, path: string, body?: object): Promise<T> {
    const url = this.url + (path.startsWith('/api/') ? path : `/api/v1/accounts/1${path}`)
    const headers = { api_access_token: this.#token, 'Content-Type': 'application/json' }
    const answer = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return (text ? JSON.parse(text) : null) as T
  }
}

type Data = Record<string, unknown>

/** A subscription, with what came over it in the order of its coming. */
export class Cable {
  readonly #socket: WebSocket
  readonly #identifier: string
  readonly #events: { name: string; data: Data }[] = []
  #confirmed = false
  #presence: ReturnType<typeof setInterval>

  private constructor(url: string, identifier: object) {
    this.#identifier = JSON.stringify(identifier)
    this.#socket = new WebSocket(url.replace('http', 'ws') + '/cable', ['actioncable-v1-json'])
    this.#socket.on('error', () => {})
    this.#socket.on('message', (data) => this.#receive(JSON.parse(String(data))))
    this.#presence = setInterval(() => this.#send('message', '{"action":"update_presence"}'), 10_000)
  }

  static async open(url: string, identifier: object): Promise<Cable> {
    const cable = new Cable(url, identifier)
    await expect.poll(() => cable.#confirmed, { message: 'the subscription is confirmed' }).toBe(true)
    return cable
  }

  /** The next event of this name that fits, which is then taken; others stay. */
  async next<T>(name: string, fits: (data: T) => boolean = () => true): Promise<T> {
    const find = () => this.#events.findIndex((event) => event.name === name && fits(event.data as T))
    await expect.poll(find, { message: `an event ${name} that fits`, intervals: [10, 25, 50] }).toBeGreaterThan(-1)
    return this.#events.splice(find(), 1)[0]!.data as T
  }

  close(): void {
    clearInterval(this.#presence)
    this.#socket.close()
  }

  #receive(frame: { type?: string; message?: { event?: string; data?: Data } }): void {
    if (frame.type === 'welcome') this.#send('subscribe')
    else if (frame.type === 'confirm_subscription') this.#confirmed = true
    else if (frame.message?.event) this.#events.push({ name: frame.message.event, data: frame.message.data ?? {} })
  }

  #send(command: string, data?: string): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    this.#socket.send(JSON.stringify({ command, identifier: this.#identifier, ...(data ? { data } : {}) }))
  }
}
