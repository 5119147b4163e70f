/** What the stand-in server knows: one inbox, its team, its visitors and their conversations. */
import { createHmac, randomUUID } from 'node:crypto'

export const HMAC_KEY = 'a-key-that-only-the-test-knows'

export interface StoredMessage {
  id: number
  content: string | null
  message_type: number
  content_type: string
  content_attributes: Record<string, unknown>
  created_at: number
  conversation_id: number
  echo_id?: string
  sender_type?: string
  sender?: Record<string, unknown>
  attachments?: Record<string, unknown>[]
}

export interface StoredConversation {
  id: number
  uuid: string
  status: string
  created_at: number
  contact_last_seen_at: number
  agent_last_seen_at: number
  /** The newest message that the visitor has seen. */
  seenId: number
  custom_attributes: Record<string, unknown>
  labels: string[]
  messages: StoredMessage[]
}

export interface Visitor {
  token: string
  pubsubToken: string
  contact: Record<string, unknown>
  conversations: StoredConversation[]
}

export const ALICE = {
  id: 1,
  name: 'Alice Moreau',
  available_name: 'Alice',
  avatar_url: '/files/alice.svg',
  type: 'user',
}
export const BOB = { id: 2, name: 'Bob Tanaka', available_name: 'Bob', avatar_url: '', type: 'user' }

export class Data {
  channel: Record<string, unknown> = {
    avatarUrl: '/files/logo.svg',
    locale: 'en',
    websiteName: 'Paperclip & Co',
    websiteToken: 'website-token',
    welcomeTitle: 'Hello, how can we help?',
    welcomeTagline: 'Orders, returns, or just a question: write to us.',
    widgetColor: '#1f5dd6',
    enabledFeatures: ['attachments', 'emoji_picker', 'end_conversation'],
    enabledLanguages: [{ name: 'English (en)', iso_639_1_code: 'en' }],
    replyTime: 'in_a_few_minutes',
    preChatFormEnabled: false,
    preChatFormOptions: { pre_chat_message: '', pre_chat_fields: [] },
    workingHoursEnabled: false,
    workingHours: [],
    outOfOfficeMessage: '',
    utcOffset: '+00:00',
    timezone: 'UTC',
    csatSurveyEnabled: true,
    allowMessagesAfterResolved: true,
    disableBranding: false,
    hasAConnectedAgentBot: '',
    portal: null,
  }
  agents: { id: number; name: string; avatar_url: string; availability_status: string }[] = [
    { id: 1, name: 'Alice Moreau', avatar_url: '/files/alice.svg', availability_status: 'online' },
    { id: 2, name: 'Bob Tanaka', avatar_url: '', availability_status: 'online' },
  ]
  campaigns: Record<string, unknown>[] = []
  surveys = new Map<string, Record<string, unknown>>()
  events: Record<string, unknown>[] = []
  visitors: Visitor[] = []
  #ids = 100

  nextId(): number {
    return ++this.#ids
  }

  visitor(token: string | null): Visitor | undefined {
    return this.visitors.find((visitor) => visitor.token === token)
  }

  newVisitor(contact: Record<string, unknown> = {}): Visitor {
    const visitor: Visitor = {
      token: `header.${randomUUID()}.signature`,
      pubsubToken: randomUUID(),
      contact: { id: this.nextId(), ...contact },
      conversations: [],
    }
    this.visitors.push(visitor)
    return visitor
  }

  newConversation(visitor: Visitor): StoredConversation {
    const conversation: StoredConversation = {
      id: this.nextId(),
      uuid: randomUUID(),
      status: 'open',
      created_at: now(),
      contact_last_seen_at: 0,
      agent_last_seen_at: 0,
      seenId: 0,
      custom_attributes: {},
      labels: [],
      messages: [],
    }
    visitor.conversations.unshift(conversation)
    return conversation
  }

  newMessage(conversation: StoredConversation, fields: Partial<StoredMessage>): StoredMessage {
    const message: StoredMessage = {
      id: this.nextId(),
      content: '',
      message_type: 0,
      content_type: 'text',
      content_attributes: {},
      created_at: now(),
      conversation_id: conversation.id,
      ...fields,
    }
    conversation.messages.push(message)
    return message
  }
}

export function now(): number {
  return Math.floor(Date.now() / 1000)
}

export function hmac(identifier: string): string {
  return createHmac('sha256', HMAC_KEY).update(identifier).digest('hex')
}

/** Fields of a message that an agent wrote. */
export function from(agent: typeof ALICE): Partial<StoredMessage> {
  return { message_type: 1, sender_type: 'User', sender: agent }
}

/** A conversation as lists of them have it. */
export function summary(conversation: StoredConversation) {
  const { messages, uuid, seenId, ...rest } = conversation
  const unread = messages.filter((m) => m.message_type !== 0 && m.id > seenId)
  return {
    ...rest,
    inbox_id: 1,
    uuid,
    last_activity_at: messages.at(-1)?.created_at ?? conversation.created_at,
    unread_count: unread.length,
    last_message: messages.at(-1) ?? null,
  }
}
