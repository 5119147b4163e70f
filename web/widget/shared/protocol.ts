/** The language that the loader on the host page and the widget page in the frame speak: a prefix, then JSON. */

const PREFIX = 'chatwoot-widget:'

/** One message of either side: its name, and what belongs to it. */
export interface Envelope {
  event: string
  [field: string]: unknown
}

/** The text to post for a message. */
export function encode(event: string, fields: object = {}): string {
  return PREFIX + JSON.stringify({ event, ...fields })
}

/** The message in what was posted; null if it is none of ours. */
export function decode(data: unknown): Envelope | null {
  if (typeof data !== 'string' || !data.startsWith(PREFIX)) return null
  try {
    const message: unknown = JSON.parse(data.slice(PREFIX.length))
    return isEnvelope(message) ? message : null
  } catch {
    return null
  }
}

function isEnvelope(message: unknown): message is Envelope {
  return typeof message === 'object' && message !== null && typeof (message as Envelope).event === 'string'
}
