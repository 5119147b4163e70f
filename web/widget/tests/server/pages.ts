/** The stand-in's pages and files: the built front end with the headers that the README asks for, and some pictures. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { ServerResponse } from 'node:http'

export const DIST = join(import.meta.dirname, '../../dist')

const TYPES: Record<string, string> = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.html': 'text/html',
  '.svg': 'image/svg+xml',
}

/** The template with its data and a fresh nonce; what could end the data block early is escaped. */
export function sendPage(response: ServerResponse, boot: object): void {
  const nonce = randomBytes(16).toString('base64')
  const data = JSON.stringify(boot).replace(/</g, '\\u003c')
  const page = readFileSync(join(DIST, 'index.html'), 'utf8')
    .replaceAll('__NONCE__', nonce)
    .replace('__BOOT__', () => data)
  response.setHeader('Content-Security-Policy', policy(nonce))
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Referrer-Policy', 'no-referrer')
  send(response, 200, 'text/html', page)
}

/** The policy of `web/README.md`. */
function policy(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}' 'strict-dynamic'`,
    "style-src 'self'",
    "img-src 'self' https: blob:",
    "media-src 'self' https: blob:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types svelte-trusted-html',
  ].join('; ')
}

/** A built file, as long as it exists. */
export function sendFile(response: ServerResponse, path: string, caching: string): void {
  try {
    const content = readFileSync(join(DIST, path))
    response.setHeader('Cache-Control', caching)
    response.setHeader('X-Content-Type-Options', 'nosniff')
    send(response, 200, TYPES[extname(path)] ?? 'application/octet-stream', content)
  } catch {
    send(response, 404, 'text/plain', 'not found')
  }
}

/** Pictures for faces and attachments. */
export function sendPicture(response: ServerResponse, name: string): void {
  const face = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><rect width="80" height="80" fill="#f3c9a5"/><circle cx="40" cy="32" r="15" fill="#7a4a2b"/><path d="M10 80c0-22 14-30 30-30s30 8 30 30Z" fill="#355e8d"/></svg>`
  const logo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><rect width="80" height="80" fill="#fff"/><path d="M26 52V30a10 10 0 0 1 20 0v24a7 7 0 0 1-14 0V34" fill="none" stroke="#1f5dd6" stroke-width="5" stroke-linecap="round" transform="translate(4)"/></svg>`
  const photo = `<svg xmlns="http://www.w3.org/2000/svg" width="480" height="300"><rect width="480" height="300" fill="#cfe3f5"/><circle cx="380" cy="70" r="34" fill="#ffd76a"/><path d="M0 300 150 130l90 90 70-60 170 140Z" fill="#4d7f5e"/></svg>`
  send(response, 200, 'image/svg+xml', name.startsWith('alice') ? face : name.startsWith('logo') ? logo : photo)
}

export function send(response: ServerResponse, status: number, type: string, content: string | Buffer): void {
  response.writeHead(status, { 'Content-Type': type.startsWith('text/') ? `${type}; charset=utf-8` : type })
  response.end(content)
}
