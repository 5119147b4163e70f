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
  /** Said once to those who hear the screen instead of seeing it. */
  announcement = $state.raw('')
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

  close(): void {
    post('closeWindow')
  }
}

export const view = new View()
