/** The stand-in's socket: welcomes, confirms, pings, and pushes to whom a subscription names. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Visitor } from './data'

export class CableServer {
  readonly #server = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has('actioncable-v1-json') ? 'actioncable-v1-json' : false),
  })
  readonly #subscriptions = new Map<WebSocket, { identifier: string; pubsubToken: string }>()
  readonly #pings = setInterval(() => this.#ping(), 3000)
  isDown = false

  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.isDown) return void socket.destroy()
    this.#server.handleUpgrade(request, socket, head, (client) => {
      client.send(JSON.stringify({ type: 'welcome' }))
      client.on('message', (text) => this.#hear(client, JSON.parse(String(text))))
      client.on('close', () => this.#subscriptions.delete(client))
    })
  }

  push(visitor: Visitor, event: string, data: object): void {
    for (const [client, { identifier, pubsubToken }] of this.#subscriptions) {
      if (pubsubToken !== visitor.pubsubToken) continue
      client.send(JSON.stringify({ identifier, message: { event, data: { ...data, account_id: 1 } } }))
    }
  }

  /** How many listen for this visitor. */
  listeners(visitor: Visitor): number {
    return [...this.#subscriptions.values()].filter(({ pubsubToken }) => pubsubToken === visitor.pubsubToken).length
  }

  setDown(isDown: boolean): void {
    this.isDown = isDown
    if (isDown) for (const client of this.#server.clients) client.terminate()
  }

  close(): void {
    clearInterval(this.#pings)
    for (const client of this.#server.clients) client.terminate()
    this.#server.close()
  }

  #hear(client: WebSocket, { command, identifier }: { command: string; identifier: string }): void {
    if (command !== 'subscribe') return
    this.#subscriptions.set(client, { identifier, pubsubToken: JSON.parse(identifier).pubsub_token })
    client.send(JSON.stringify({ type: 'confirm_subscription', identifier }))
  }

  #ping(): void {
    for (const client of this.#server.clients) {
      client.send(JSON.stringify({ type: 'ping', message: Math.floor(Date.now() / 1000) }))
    }
  }
}
