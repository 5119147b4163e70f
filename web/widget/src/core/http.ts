/** One way to ask the server, and one kind of error for whatever goes wrong. */

/** Why a request failed; `status` 0 means that no answer came. */
export class RequestError extends Error {
  readonly status: number
  /** Seconds that the server asks to wait. */
  readonly retryAfter: number | null

  constructor(status: number, message: string, retryAfter: number | null = null) {
    super(message)
    this.status = status
    this.retryAfter = retryAfter
  }

  /** The same request may succeed later; it may even have succeeded already. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 409 || this.status === 429 || this.status >= 500
  }
}

const TIMEOUT = 30_000
const UPLOAD_TIMEOUT = 300_000

/** Asks and reads the answer; an empty body is `null`. */
export async function request<T>(
  method: string,
  url: string,
  headers: Record<string, string>,
  body?: object,
): Promise<T> {
  const isForm = body instanceof FormData
  const init: RequestInit = {
    method,
    headers: { ...headers },
    signal: AbortSignal.timeout(isForm ? UPLOAD_TIMEOUT : TIMEOUT),
  }
  if (body) {
    init.body = isForm ? body : JSON.stringify(body)
    if (!isForm) init.headers = { ...headers, 'Content-Type': 'application/json' }
  }
  let answer: Response
  let text: string
  try {
    answer = await fetch(url, init)
    text = await answer.text()
  } catch {
    throw new RequestError(0, '')
  }
  if (!answer.ok) throw new RequestError(answer.status, reason(text), Number(answer.headers.get('Retry-After')) || null)
  return parsed(text) as T
}

/** What the server says is wrong, in any of the shapes that it says it in. */
function reason(text: string): string {
  const body = parsed(text) as { message?: string; error?: string; errors?: string[] } | null
  const words = body?.message ?? body?.error ?? body?.errors?.[0]
  return typeof words === 'string' ? words : ''
}

function parsed(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return null
  }
}
