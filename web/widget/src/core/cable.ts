/** The socket (contract, section 7): one subscription, taken up again by itself whenever it is lost. */

const PROTOCOLS = ['actioncable-v1-json', 'actioncable-unsupported']
const SILENCE = 9_000
const PRESENCE = 60_000
const LONGEST_PAUSE = 30_000

export interface Listener {
  event(name: string, data: unknown): void
  /** The subscription stands: what happened before has to be fetched. */
  up(): void
  /** It does not, since now or still: called after each try. */
  down(): void
}

export class Cable {
  readonly #listener: Listener
  #identifier: string
  #socket: WebSocket | null = null
  #tries = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #silence: ReturnType<typeof setTimeout> | undefined
  #presence: ReturnType<typeof setInterval> | undefined

  constructor(pubsubToken: string, listener: Listener) {
    this.#identifier = identifier(pubsubToken)
    this.#listener = listener
    addEventListener('online', () => this.#again())
    document.addEventListener('visibilitychange', () => document.hidden || this.#socket || this.#again())
    this.#connect()
  }

  /** Goes on as somebody else. */
  subscribeAs(pubsubToken: string): void {
    this.#identifier = identifier(pubsubToken)
    this.#again()
  }

  #again(): void {
    clearTimeout(this.#retry)
    this.#drop()
    this.#connect()
  }

  #connect(): void {
    const url = new URL('/cable', location.href)
    url.protocol = url.protocol.replace('http', 'ws')
    const socket = new WebSocket(url, PROTOCOLS)
    this.#socket = socket
    this.#listen()
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return
      this.#listen()
      this.#receive(JSON.parse(String(data)))
    }
    socket.onclose = () => socket === this.#socket && this.#lost()
  }

  #receive(frame: { type?: string; identifier?: string; message?: { event?: string; data?: unknown } }): void {
    if (frame.type === 'welcome') this.#send({ command: 'subscribe' })
    else if (frame.type === 'confirm_subscription') this.#confirmed()
    else if (frame.type === 'disconnect' || frame.type === 'reject_subscription') this.#lost()
    else if (!frame.type && frame.message?.event) this.#listener.event(frame.message.event, frame.message.data)
  }

  #confirmed(): void {
    this.#tries = 0
    clearInterval(this.#presence)
    this.#presence = setInterval(
      () => this.#send({ command: 'message', data: '{"action":"update_presence"}' }),
      PRESENCE,
    )
    this.#listener.up()
  }

  #send(command: { command: string; data?: string }): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    this.#socket.send(JSON.stringify({ ...command, identifier: this.#identifier }))
  }

  /** The server says something every three seconds; a socket that says nothing is gone. */
  #listen(): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => this.#lost(), SILENCE)
  }

  #lost(): void {
    this.#drop()
    this.#listener.down()
    const pause = Math.min(LONGEST_PAUSE, 500 * 2 ** this.#tries++) * (0.75 + Math.random() / 2)
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.#connect(), pause)
  }

  #drop(): void {
    clearTimeout(this.#silence)
    clearInterval(this.#presence)
    const socket = this.#socket
    this.#socket = null
    socket?.close()
  }
}

function identifier(pubsub_token: string): string {
  return JSON.stringify({ channel: 'RoomChannel', pubsub_token })
}
