/** The cookies on the host page: who the visitor is to the widget, and what was told of the signed-in user. */

export const CONVERSATION = 'cw_conversation'
export const SNOOZE = 'cw_snooze_campaigns_till'

/** The name of the cookie that remembers which user was set last. */
export function userCookie(websiteToken: string): string {
  return `cw_user_${websiteToken}`
}

/** The value of a cookie; empty if there is none. */
export function readCookie(name: string): string {
  for (const pair of document.cookie.split('; ')) {
    if (pair.startsWith(name + '=')) return decode(pair.slice(name.length + 1))
  }
  return ''
}

/** Keeps a cookie for so many days; zero days remove it. */
export function writeCookie(name: string, value: string, days: number, domain: string): void {
  const seconds = Math.round(days * 86400)
  const parts = [`${name}=${encodeURIComponent(value)}`, 'path=/', `max-age=${seconds}`, 'samesite=lax']
  if (domain) parts.push(`domain=${domain}`)
  if (location.protocol === 'https:') parts.push('secure')
  document.cookie = parts.join('; ')
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
