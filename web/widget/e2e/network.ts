/** The way between a browser and the daemon, which can be cut, and can lose the answer to a request that was carried out. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export class Network {
  readonly #server: Server
  readonly #open = new Set<Socket>()
  #isDown = false
  #toLose: string | null = null
  /** How many answers were lost. */
  lost = 0

  constructor(daemonUrl: string) {
    const port = Number(new URL(daemonUrl).port)
    this.#server = createServer((client) => this.#relay(client, port))
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  setDown(isDown: boolean): void {
    this.#isDown = isDown
    if (isDown) this.#cut()
  }

  /** Loses the answer to the next request whose first line begins so. */
  loseAnswerTo(start: string): void {
    this.#toLose = start
  }

  stop(): void {
    this.#cut()
    this.#server.close()
  }

  #relay(client: Socket, port: number): void {
    if (this.#isDown) return void client.destroy()
    const daemon = connect(port, '127.0.0.1')
    let isLosing = false
    client.on('data', (data) => {
      if (this.#toLose !== null && data.toString('latin1').startsWith(this.#toLose)) {
        this.#toLose = null
        isLosing = true
      }
      daemon.write(data)
    })
    daemon.on('data', (data) => {
      if (!isLosing) return void client.write(data)
      this.lost++
      client.destroy()
    })
    for (const [one, other] of [
      [client, daemon],
      [daemon, client],
    ] as const) {
      this.#open.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        this.#open.delete(one)
        other.destroy()
      })
    }
  }

  #cut(): void {
    for (const socket of this.#open) socket.destroy()
  }
}
