/** A small server in the daemon's place: enough of the contract for the front end's own tests, on a free port. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CableServer } from './cable'
import { Data, from, type StoredConversation, type StoredMessage, type Visitor } from './data'
import { send, sendFile, sendPage, sendPicture } from './pages'
import { survey, WidgetApi, type Answer } from './widget_api'

const FOREVER = 'public, max-age=31536000, immutable'

export class StandIn {
  readonly data = new Data()
  readonly cable = new CableServer()
  readonly api = new WidgetApi(this.data, this.cable)
  readonly #server: Server
  /** Nothing answers: neither requests nor sockets. */
  isDown = false

  constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response))
    this.#server.on('upgrade', (request, socket, head) => this.cable.accept(request, socket, head))
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  setDown(isDown: boolean): void {
    this.isDown = isDown
    this.cable.setDown(isDown)
  }

  stop(): void {
    this.cable.close()
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** The latest visitor: most tests have one. */
  get visitor(): Visitor {
    return this.data.visitors.at(-1)!
  }

  /** Somebody of the team writes. */
  say(conversation: StoredConversation, fields: Partial<StoredMessage>, visitor = this.visitor): StoredMessage {
    const message = this.data.newMessage(conversation, fields)
    this.cable.push(visitor, 'message.created', message)
    return message
  }

  /** A visitor who has been here before, with a conversation. */
  returning(
    messages: Partial<StoredMessage>[],
    contact: Record<string, unknown> = {},
  ): { visitor: Visitor; conversation: StoredConversation } {
    const visitor = this.data.newVisitor(contact)
    const conversation = this.data.newConversation(visitor)
    for (const message of messages) this.data.newMessage(conversation, message)
    conversation.seenId = conversation.messages.at(-1)?.id ?? 0
    return { visitor, conversation }
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.isDown) return void request.socket.destroy()
    const url = new URL(request.url ?? '/', this.url)
    const [, first, second] = url.pathname.split('/')
    const path = url.pathname
    if (path === '/packs/js/sdk.js') {
      response.setHeader('Access-Control-Allow-Origin', '*')
      response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin')
      return sendFile(response, 'sdk.js', 'public, max-age=3600, stale-while-revalidate=86400')
    }
    if (path === '/favicon.ico') return void response.writeHead(204).end()
    if (path === '/widget') return this.#widget(response, url.searchParams)
    if (path.startsWith('/widget/assets/')) return sendFile(response, path.slice('/widget/'.length), FOREVER)
    if (first === 'survey')
      return sendPage(response, { survey: { uuid: path.split('/').at(-1), color: '#1f5dd6' }, globalConfig: {} })
    if (first === 'files') return sendPicture(response, second ?? '')
    const body = await read(request)
    if (path.startsWith('/api/v1/widget/')) {
      const call = {
        method: request.method ?? '',
        path: path.slice('/api/v1/widget/'.length),
        query: url.searchParams,
        token: header(request, 'x-auth-token'),
        body,
        key: header(request, 'idempotency-key'),
      }
      return reply(response, this.api.answer(call))
    }
    if (path.startsWith('/public/api/v1/csat_survey/')) {
      return reply(response, survey(this.data, request.method ?? '', path.split('/').at(-1)!, body))
    }
    send(response, 404, 'text/plain', 'not found')
  }

  #widget(response: ServerResponse, query: URLSearchParams): void {
    if (query.get('website_token') !== this.data.channel['websiteToken']) {
      return send(response, 404, 'application/json', '{"error":"web widget does not exist"}')
    }
    const visitor = this.data.visitor(query.get('cw_conversation')) ?? this.data.newVisitor()
    sendPage(response, {
      channel: this.data.channel,
      authToken: visitor.token,
      pubsubToken: visitor.pubsubToken,
      globalConfig: {},
    })
  }
}

function header(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name]
  return typeof value === 'string' ? value : null
}

function reply(response: ServerResponse, { status, body, retryAfter }: Answer): void {
  if (retryAfter !== undefined) response.setHeader('Retry-After', retryAfter)
  if (body === undefined) return void response.writeHead(status).end()
  send(response, status, 'application/json', JSON.stringify(body))
}

/** The body, be it JSON or a form with bracketed names. */
async function read(request: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const bytes = Buffer.concat(parts)
  const type = request.headers['content-type'] ?? ''
  if (bytes.length === 0) return {}
  if (!type.startsWith('multipart/form-data')) return JSON.parse(bytes.toString()) as Record<string, unknown>
  const form = await new Response(bytes, { headers: { 'Content-Type': type } }).formData()
  const body: Record<string, unknown> = {}
  for (const [name, value] of form.entries()) {
    const keys = name
      .replace(/\[\]$/, '')
      .split(/[[\]]+/)
      .filter(Boolean)
    let at = body
    for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>
    const last = keys.at(-1)!
    const shown = typeof value === 'string' ? value : { name: value.name, type: value.type, size: value.size }
    if (name.endsWith('[]')) at[last] = [...((at[last] as unknown[]) ?? []), shown]
    else at[last] = shown
  }
  return body
}

export { from }
