/** Campaigns: messages that greet a visitor who stays on a page for a while. Fetched only where the inbox has some. */
import { api } from './api'
import type { Campaign } from './types'

/** Waits on each page for the first campaign that is meant for it. */
export class Campaigns {
  readonly #show: (campaign: Campaign) => void
  #campaigns: Campaign[] | null = null
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(show: (campaign: Campaign) => void) {
    this.#show = show
  }

  /** The visitor is at this address now. */
  async visit(address: string): Promise<void> {
    clearTimeout(this.#timer)
    this.#campaigns ??= await api.campaigns()
    const [next] = this.#campaigns
      .filter(({ trigger_rules }) => isMeant(trigger_rules.url, address))
      .sort((a, b) => seconds(a) - seconds(b))
    if (next) this.#timer = setTimeout(() => this.#show(next), seconds(next) * 1000)
  }

  /** The visitor acts: no campaign is to come between. */
  stop(): void {
    clearTimeout(this.#timer)
  }
}

function seconds(campaign: Campaign): number {
  return campaign.trigger_rules.time_on_page ?? 0
}

/** An address as it is, or with stars for any part of it; a slash at the end makes no difference. */
export function isMeant(pattern: string | undefined, address: string): boolean {
  if (!pattern) return false
  const closed = (text: string) => text.replace(/\/*$/, '/')
  const parts = (pattern.endsWith('*') ? pattern : closed(pattern)).split('*')
  const [text, last] = [closed(address.split('#')[0] ?? ''), parts.at(-1) ?? '']
  if (parts.length === 1) return text === last
  if (!text.startsWith(parts[0] ?? '') || !text.endsWith(last)) return false
  let at = 0
  for (const part of parts) {
    at = text.indexOf(part, at)
    if (at < 0) return false
    at += part.length
  }
  return true
}
