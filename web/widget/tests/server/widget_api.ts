/** The stand-in's answers to `/api/v1/widget/*` and the survey, as `web/README.md` describes them. */
import { Data, from, hmac, now, summary, ALICE, type StoredConversation, type Visitor } from './data'
import type { CableServer } from './cable'

export interface Call {
  method: string
  path: string
  query: URLSearchParams
  token: string | null
  body: Body
  key: string | null
}

type Body = Record<string, any> // eslint-disable-line @typescript-eslint/no-explicit-any -- whatever a client may send

export interface Answer {
  status: number
  retryAfter?: number
  body?: unknown
}

export class WidgetApi {
  readonly calls: Call[] = []
  /** Answers to give instead, once each, to the first call that fits. */
  readonly overrides: { method: string; path: string; answer: Answer; carriesOut: boolean }[] = []
  readonly #answers = new Map<string, { said: string; answer: Answer }>()
  readonly #data: Data
  readonly #cable: CableServer

  constructor(data: Data, cable: CableServer) {
    this.#data = data
    this.#cable = cable
  }

  /** Carries out each key once; a repeat gets the first answer, and another body under the same key is refused. */
  answer(call: Call): Answer {
    this.calls.push(call)
    const at = this.overrides.findIndex(({ method, path }) => method === call.method && path === call.path)
    const override = at < 0 ? undefined : this.overrides.splice(at, 1)[0]
    if (override && !override.carriesOut) return override.answer
    const known = call.key ? this.#answers.get(call.key) : undefined
    const said = JSON.stringify(call.body)
    if (known && known.said !== said) return { status: 422, body: { error: 'the same key with another body' } }
    const answer = known?.answer ?? this.#carryOut(call)
    if (call.key) this.#answers.set(call.key, { said, answer })
    return override?.answer ?? answer
  }

  #carryOut({ method, path, query, token, body }: Call): Answer {
    const data = this.#data
    if (query.get('website_token') !== data.channel['websiteToken']) return missing('web widget does not exist')
    const visitor = data.visitor(token) ?? (path === 'config' ? data.newVisitor() : undefined)
    if (!visitor) return { status: 401, body: { error: 'Invalid token' } }
    const conversation = find(visitor, query.get('conversation_id'))
    const route = `${method} ${path}`
    if (/^PATCH messages\/\d+$/.test(route)) return this.#submit(visitor, Number(path.split('/')[1]), body)
    if (/^DELETE labels\//.test(route)) {
      if (conversation) conversation.labels = conversation.labels.filter((l) => l !== decodeURIComponent(path.slice(7)))
      return { status: 204 }
    }
    switch (route) {
      case 'POST config':
        return ok({
          website_channel_config: { auth_token: visitor.token },
          contact: { ...visitor.contact, pubsub_token: visitor.pubsubToken },
          global_config: {},
        })
      case 'GET conversations/all':
        return ok({ payload: visitor.conversations.map(summary) })
      case 'POST conversations':
        return this.#begin(visitor, body)
      case 'GET messages':
        return this.#messages(conversation, Number(query.get('before') ?? Infinity))
      case 'POST messages':
        return conversation ? ok(this.#say(visitor, conversation, body['message'])) : missing()
      case 'POST conversations/toggle_typing':
      case 'POST conversations/transcript':
        return conversation ? { status: 200 } : missing()
      case 'POST conversations/update_last_seen':
        if (conversation)
          Object.assign(conversation, { contact_last_seen_at: now(), seenId: conversation.messages.at(-1)?.id })
        return { status: 200 }
      case 'GET conversations/toggle_status':
        if (conversation) conversation.status = 'resolved'
        return { status: 200 }
      case 'POST conversations/set_custom_attributes':
        Object.assign(conversation?.custom_attributes ?? {}, body['custom_attributes'])
        return { status: 200 }
      case 'POST conversations/destroy_custom_attributes':
        for (const key of body['custom_attribute'] as string[]) delete conversation?.custom_attributes[key]
        return ok({})
      case 'POST labels':
        conversation?.labels.push(String(body['label']))
        return { status: 204 }
      case 'GET contact':
        return ok(shown(visitor))
      case 'PATCH contact':
        Object.assign(visitor.contact, body)
        return ok(shown(visitor))
      case 'PATCH contact/set_user':
        return this.#setUser(visitor, body)
      case 'POST contact/destroy_custom_attributes':
        return ok({})
      case 'GET inbox_members':
        return ok({ payload: data.agents })
      case 'GET campaigns':
        return ok(data.campaigns)
      case 'POST events':
        return this.#event(visitor, body)
    }
    return missing()
  }

  #begin(visitor: Visitor, body: Body): Answer {
    const conversation = this.#data.newConversation(visitor)
    conversation.custom_attributes = { ...body['custom_attributes'] }
    conversation.labels = [...(body['labels'] ?? [])]
    for (const [key, value] of Object.entries((body['contact'] ?? {}) as Body)) visitor.contact[key] = value
    this.#say(visitor, conversation, body['message'])
    return ok({ ...summary(conversation), messages: conversation.messages, contact: visitor.contact })
  }

  #say(visitor: Visitor, conversation: StoredConversation, message: Body) {
    const files = (message['attachments'] ?? []) as { name: string; type: string; size: number }[]
    const stored = this.#data.newMessage(conversation, {
      content: message['content'] || null,
      content_attributes: message['reply_to'] ? { in_reply_to: Number(message['reply_to']) } : {},
      sender: { ...visitor.contact, type: 'contact' },
      sender_type: 'Contact',
      attachments: files.map((file) => ({
        id: this.#data.nextId(),
        file_type: file.type.split('/')[0] === 'image' ? 'image' : 'file',
        data_url: `/files/${encodeURIComponent(file.name)}`,
        thumb_url: `/files/${encodeURIComponent(file.name)}`,
        file_size: file.size,
      })),
    })
    this.#cable.push(visitor, 'message.created', { ...stored, echo_id: message['echo_id'] })
    return stored
  }

  #messages(conversation: StoredConversation | undefined, before: number): Answer {
    const all = (conversation?.messages ?? []).filter(({ id }) => id < before)
    return ok({ payload: all.slice(-20), meta: {} })
  }

  #submit(visitor: Visitor, id: number, body: Body): Answer {
    const message = visitor.conversations.flatMap(({ messages }) => messages).find((m) => m.id === id)
    if (!message) return missing()
    message.content_attributes['submitted_values'] = body['message'].submitted_values
    if (body['contact']?.email) {
      message.content_attributes['submitted_email'] = body['contact'].email
      visitor.contact['email'] = body['contact'].email
    }
    this.#cable.push(visitor, 'message.updated', message)
    return ok({ contact: visitor.contact })
  }

  #setUser(visitor: Visitor, body: Body): Answer {
    if (body['identifier_hash'] && body['identifier_hash'] !== hmac(String(body['identifier']))) {
      return { status: 401, body: { error: 'HMAC failed: Invalid Identifier Hash Provided' } }
    }
    const { identifier_hash, ...fields } = body
    const known = this.#data.visitors.find((v) => v.contact['identifier'] === body['identifier'])
    if (known && known !== visitor && identifier_hash) {
      return ok({ ...shown(known), widget_auth_token: known.token })
    }
    Object.assign(visitor.contact, fields)
    return ok(shown(visitor))
  }

  #event(visitor: Visitor, body: Body): Answer {
    this.#data.events.push(body)
    const campaign = this.#data.campaigns.find(({ id }) => id === body['event_info']?.campaign_id)
    if (body['name'] === 'campaign.triggered' && campaign) {
      const conversation = this.#data.newConversation(visitor)
      this.#data.newMessage(conversation, { ...from(ALICE), content: String(campaign['message']) })
    }
    return { status: 204 }
  }
}

/** The answers of the survey of a conversation. */
export function survey(data: Data, method: string, uuid: string, body: Body): Answer {
  const found = data.surveys.get(uuid)
  if (!found) return missing()
  const closed = { status: 422, body: { error: 'You cannot update the CSAT survey after 14 days' } }
  if (found['isOver']) return closed
  if (method === 'PUT') {
    if (found['isClosed']) return closed
    found['csat_survey_response'] = body['message'].submitted_values.csat_survey_response
  }
  return ok(found)
}

function find(visitor: Visitor, id: string | null): StoredConversation | undefined {
  return id ? visitor.conversations.find((c) => c.id === Number(id)) : visitor.conversations[0]
}

function shown({ contact }: Visitor) {
  const { id, identifier, email, name, phone_number } = contact
  return { id, identifier, has_email: Boolean(email), has_name: Boolean(name), has_phone_number: Boolean(phone_number) }
}

function ok(body: unknown): Answer {
  return { status: 200, body }
}

function missing(error = 'Resource could not be found'): Answer {
  return { status: 404, body: { error } }
}
