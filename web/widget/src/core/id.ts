/** Ids that nobody else has: `crypto.randomUUID` is missing on pages without TLS. */

/** A random id of 128 bits, in hexadecimal. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
