/** The frame with the widget page: where it stands, and the messages to and from it. */
import { decode, encode, type Envelope } from '../shared/protocol'
import type { Settings } from './settings'

/** What the frame needs to know of the widget that it shows. */
export interface Address {
  baseUrl: string
  websiteToken: string
}

export class Frame {
  readonly #holder = document.createElement('div')
  readonly #frame = document.createElement('iframe')
  readonly #address: Address
  readonly #waiting: string[] = []
  #isLoaded = false

  constructor(address: Address, settings: Settings, token: string, onMessage: (message: Envelope) => void) {
    this.#address = address
    this.#holder.id = 'cw-widget-holder'
    this.#holder.classList.add('woot-widget-holder', `woot-elements--${settings.position}`, 'woot--hide')
    if (settings.widgetStyle === 'flat') this.#holder.classList.add('woot-widget--flat')
    if (settings.hideMessageBubble) this.#holder.classList.add('woot-widget--without-bubble')
    this.#frame.id = 'chatwoot_live_chat_widget'
    this.#frame.title = settings.launcherTitle || 'Live chat'
    this.#frame.allow = 'autoplay; fullscreen; clipboard-write'
    this.#frame.src = pageUrl(address, token)
    this.#holder.append(this.#frame)
    document.body.append(this.#holder)
    const origin = new URL(address.baseUrl).origin
    addEventListener('message', (event) => {
      if (event.source !== this.#frame.contentWindow || event.origin !== origin) return
      const message = decode(event.data)
      if (message) onMessage(message)
    })
  }

  /** Tells the page something; what is told before the page has loaded waits for it. */
  post(event: string, fields: object = {}): void {
    const text = encode(event, fields)
    if (this.#isLoaded) this.#send(text)
    else this.#waiting.push(text)
  }

  /** The page has loaded: `first` is told before whatever has waited. */
  loaded(first: [event: string, fields: object][]): void {
    this.#isLoaded = true
    for (const [event, fields] of first) this.post(event, fields)
    for (const text of this.#waiting.splice(0)) this.#send(text)
  }

  /** Begins again as a visitor whom nobody knows. */
  reload(): void {
    this.#isLoaded = false
    this.#waiting.length = 0
    this.#frame.src = pageUrl(this.#address, '')
  }

  setShown(isShown: boolean): void {
    this.#holder.classList.toggle('woot--hide', !isShown)
  }

  focus(): void {
    this.#frame.focus()
  }

  /** Shows, above the closed bubble, only what is unread. */
  setUnreadMode(isUnread: boolean): void {
    this.#holder.classList.toggle('has-unread-view', isUnread)
  }

  setHeight(pixels: number | null): void {
    this.#frame.style.setProperty('height', pixels === null ? '100%' : `${pixels}px`)
  }

  setTitle(title: string): void {
    this.#frame.title = title
  }

  get hasFocus(): boolean {
    return document.activeElement === this.#frame
  }

  #send(text: string): void {
    this.#frame.contentWindow?.postMessage(text, new URL(this.#address.baseUrl).origin)
  }
}

/** The address of the widget page, as the visitor whom the token names. */
export function pageUrl({ baseUrl, websiteToken }: Address, token: string): string {
  const query = new URLSearchParams({ website_token: websiteToken })
  if (token) query.set('cw_conversation', token)
  return `${baseUrl}/widget?${query}`
}
