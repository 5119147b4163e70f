/** What is on the screen: which view, and whether anybody can see it. */
import { isFramed, post } from '../core/host'

export type Route = 'home' | 'conversations' | 'preChat' | 'chat'

class View {
  route = $state.raw<Route>('home')
  /** In a frame, whether the host page shows it; elsewhere always. */
  isOpen = $state.raw(!isFramed)
  /** Whether the unread messages stand above the closed bubble. */
  isTeaser = $state.raw(false)
  isConnected = $state.raw(true)
  /** What has just been done or has failed, shown for a moment and read aloud. */
  announcement = $state.raw('')
  #announcementEnds: ReturnType<typeof setTimeout> | undefined
  #isPageVisible = $state.raw(!document.hidden)
  #hasFocus = $state.raw(document.hasFocus())

  constructor() {
    document.addEventListener('visibilitychange', () => (this.#isPageVisible = !document.hidden))
    addEventListener('focus', () => (this.#hasFocus = true))
    addEventListener('blur', () => (this.#hasFocus = document.hasFocus()))
  }

  /** Whether what is shown can be taken for seen. */
  isSeen = $derived(this.isOpen && this.#isPageVisible)
  /** Whether the visitor looks here, so that a sound would only disturb. */
  isAttended = $derived(this.isOpen && this.#isPageVisible && this.#hasFocus)

  go(route: Route): void {
    this.route = route
  }

  announce(text: string): void {
    clearTimeout(this.#announcementEnds)
    this.announcement = text
    this.#announcementEnds = setTimeout(() => (this.announcement = ''), 6_000)
  }

  close(): void {
    post('closeWindow')
  }
}

export const view = new View()
