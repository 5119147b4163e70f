/** The launcher: a button that opens the widget, and one in its place that closes it. */
import { addStyles, paint } from './styles'
import type { Settings } from './settings'

const SVG = 'http://www.w3.org/2000/svg'
const CHAT =
  'M12 3.5c-5 0-9 3.4-9 7.7 0 2.4 1.3 4.6 3.3 6L5.5 21l4.2-1.9c.7.1 1.5.2 2.3.2 5 0 9-3.5 9-7.8s-4-8-9-8Z M8.5 11.3h.01 M12 11.3h.01 M15.5 11.3h.01'
const CLOSE = 'M6 9.5l6 6 6-6'

/** What the widget page says the buttons are called, in the visitor's language. */
export interface Labels {
  label: string
  closeLabel: string
  unreadLabel: string
}

export class Bubble {
  readonly #holder = document.createElement('div')
  readonly #open: HTMLButtonElement
  readonly #close: HTMLButtonElement
  readonly #settings: Settings
  #labels: Labels = { label: 'Chat with us', closeLabel: 'Close chat', unreadLabel: '' }

  constructor(settings: Settings, onClick: () => void) {
    addStyles()
    this.#settings = settings
    this.#open = button(settings, CHAT, onClick)
    this.#close = button(settings, CLOSE, onClick)
    this.#close.classList.add('woot--close')
    if (settings.type === 'expanded_bubble') {
      this.#open.classList.add('woot-widget--expanded')
      this.#open.append(document.createElement('span'))
    }
    this.#holder.id = 'cw-bubble-holder'
    this.#holder.className = 'woot--bubble-holder'
    this.#holder.append(this.#open, this.#close)
    this.setVisible(false)
    this.setOpen(false)
    this.setLabels({})
    document.body.append(this.#holder)
  }

  /** Shows it in the colour of the inbox; before the page is loaded there is none. */
  setColour(colour: string): void {
    paint(this.#open, colour, this.#settings.type === 'expanded_bubble')
    paint(this.#close, colour, false)
  }

  setVisible(isVisible: boolean): void {
    this.#holder.classList.toggle('woot--hide', !isVisible)
  }

  setOpen(isOpen: boolean): void {
    this.#open.classList.toggle('woot--hide', isOpen)
    this.#close.classList.toggle('woot--hide', !isOpen)
    this.#open.setAttribute('aria-expanded', 'false')
    this.#close.setAttribute('aria-expanded', 'true')
  }

  setUnread(count: number): void {
    this.#open.classList.toggle('unread-notification', count > 0)
  }

  /** Takes over those labels that are given; the host page's own title goes before the widget's. */
  setLabels(labels: Partial<Labels>): void {
    this.#labels = { ...this.#labels, ...labels }
    const title = this.#settings.launcherTitle || this.#labels.label
    const text = this.#open.querySelector('span')
    if (text) text.textContent = title
    this.#open.setAttribute('aria-label', [title, this.#labels.unreadLabel].filter(Boolean).join(', '))
    this.#close.setAttribute('aria-label', this.#labels.closeLabel)
  }

  focus(): void {
    this.#open.focus()
  }
}

function button(settings: Settings, path: string, onClick: () => void): HTMLButtonElement {
  const element = document.createElement('button')
  element.type = 'button'
  element.classList.add('woot-widget-bubble', `woot-elements--${settings.position}`)
  if (settings.widgetStyle === 'flat') element.classList.add('woot-widget--flat')
  element.setAttribute('aria-controls', 'cw-widget-holder')
  element.addEventListener('click', onClick)
  const picture = document.createElementNS(SVG, 'svg')
  picture.setAttribute('viewBox', '0 0 24 24')
  picture.setAttribute('aria-hidden', 'true')
  const line = document.createElementNS(SVG, 'path')
  line.setAttribute('d', path)
  picture.append(line)
  element.append(picture)
  return element
}
