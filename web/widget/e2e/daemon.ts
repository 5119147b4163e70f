/** The daemon as a process with data of its own: started, killed, and started again at the same address. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BINARY = process.env['KONVERSIO_BIN'] ?? join(import.meta.dirname, '../../../target/debug/konversio')
const START_TAKES_AT_MOST = 60_000

export class Daemon {
  readonly url: string
  /** The administrator's. */
  readonly token = randomBytes(12).toString('hex')
  readonly #folder = mkdtempSync(join(tmpdir(), 'konversio-widget-'))
  readonly #address: string
  readonly #log: string
  #process: ChildProcess | null = null

  private constructor(port: number, log: string) {
    this.#address = `127.0.0.1:${port}`
    this.url = `http://${this.#address}`
    this.#log = log
  }

  /** Starts one on a free port; what it logs goes to a file below `test-results`. */
  static async start(name: string): Promise<Daemon> {
    if (!existsSync(BINARY))
      throw new Error(`${BINARY} is not there: run \`cargo build\`, or name another in KONVERSIO_BIN`)
    mkdirSync('test-results', { recursive: true })
    const daemon = new Daemon(await freePort(), `test-results/${name}.log`)
    await daemon.start()
    return daemon
  }

  /** Starts it, at first or after `kill`, and waits until it is ready. */
  async start(): Promise<void> {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('KONVERSIO'))
    const log = openSync(this.#log, 'a')
    const child = spawn(BINARY, [], {
      cwd: this.#folder,
      stdio: ['ignore', log, log],
      env: {
        ...Object.fromEntries(inherited),
        KONVERSIO__DATA_DIR: join(this.#folder, 'data'),
        KONVERSIO__SERVER__BIND: this.#address,
        KONVERSIO__BOOTSTRAP__ADMIN_EMAIL: 'admin@example.com',
        KONVERSIO__BOOTSTRAP__ADMIN_PASSWORD: 'Password1!',
        KONVERSIO__BOOTSTRAP__ACCESS_TOKEN: this.token,
      },
    })
    this.#process = child
    for (const began = Date.now(); !(await this.#isReady());) {
      const hasEnded = child.exitCode !== null || child.signalCode !== null
      if (hasEnded || Date.now() - began > START_TAKES_AT_MOST) {
        await this.stop()
        throw new Error(`the daemon ${hasEnded ? 'ended' : 'is not ready'}: see ${this.#log}`)
      }
      await new Promise((done) => setTimeout(done, 25))
    }
  }

  /** No chance to put anything in order. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = null
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #isReady(): Promise<boolean> {
    const asked = fetch(`${this.url}/ready`, { signal: AbortSignal.timeout(1000) })
    return asked.then(({ ok }) => ok).catch(() => false)
  }
}

/** Below the ports that the system gives to outgoing connections, so that none takes it while the daemon is away. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}
