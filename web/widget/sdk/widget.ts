/** `window.$chatwoot`: the widget as the host page sees it. Methods and properties have the names that sites rely on. */
import type { Envelope } from '../shared/protocol'
import { playSound } from '../shared/sound'
import { Bubble, type Labels } from './bubble'
import { CONVERSATION, readCookie, SNOOZE, userCookie, writeCookie } from './cookies'
import { Frame, pageUrl, type Address } from './frame'
import { md5 } from './md5'
import { scheme, settingsForPage, type Settings } from './settings'

const USER_FIELDS = ['avatar_url', 'email', 'name']
const MOBILE = '(max-width: 667px)'

type Attributes = Record<string, unknown>

/** Makes the widget, shows its bubble, and answers what the page's scripts may call. */
export function createWidget(address: Address, settings: Settings) {
  const user = userCookie(address.websiteToken)
  const bubble = new Bubble(settings, () => widget.toggle())
  const frame = new Frame(address, settings, readCookie(CONVERSATION), receive)
  const mobile = matchMedia(MOBILE)
  /** Whether the page in the frame was told of the user. */
  let isUserTold = false
  if (!readCookie(CONVERSATION)) writeCookie(user, '', 0, settings.baseDomain)
  mobile.addEventListener('change', () => frame.post('toggle-close-button', { isMobile: mobile.matches }))
  watchAddress(() => widget.hasLoaded && tellAddress())

  const widget = {
    ...settings,
    ...address,
    hasLoaded: false,
    isOpen: false,
    resetTriggered: false,
    identifier: undefined as string | undefined,
    user: undefined as Attributes | undefined,

    /** Opens or closes the widget; without a word, whichever it is not. */
    toggle(state?: 'open' | 'close'): void {
      const isOpen = state ? state === 'open' : !widget.isOpen
      if (isOpen === widget.isOpen) return
      const hadFocus = frame.hasFocus || document.activeElement?.classList.contains('woot--close')
      widget.isOpen = isOpen
      if (isOpen) leaveUnreadMode()
      bubble.setOpen(isOpen)
      frame.setShown(isOpen)
      if (isOpen) frame.focus()
      else if (hadFocus) bubble.focus()
      frame.post('toggle-open', { isOpen })
      if (isOpen) {
        frame.post('widget-visible')
        frame.post('push-event', { eventName: 'webwidget.triggered' })
      }
      dispatch(isOpen ? 'chatwoot:opened' : 'chatwoot:closed')
    },

    toggleBubbleVisibility(state: 'show' | 'hide'): void {
      widget.hideMessageBubble = state === 'hide'
      bubble.setVisible(state !== 'hide' && widget.hasLoaded)
      frame.post('sdk-set-bubble-visibility', { hideMessageBubble: widget.hideMessageBubble })
    },

    /** Opens the widget in a window of its own, as the same visitor. */
    popoutChatWindow(): void {
      const url = new URL(pageUrl(address, readCookie(CONVERSATION)))
      if (widget.locale) url.searchParams.set('locale', widget.locale)
      open(url, `webwidget_session_${address.websiteToken}`, 'popup,width=400,height=704')
      widget.toggle('close')
    },

    /** Says who the visitor is; with an `identifier_hash` the server can trust it. Nothing is sent if nothing changed. */
    setUser(identifier: string | number, fields: Attributes): void {
      if (typeof identifier !== 'string' && typeof identifier !== 'number') {
        throw new Error('setUser: the identifier must be a string or a number')
      }
      if (!USER_FIELDS.some((field) => fields?.[field])) {
        throw new Error(`setUser: the user needs one of ${USER_FIELDS.join(', ')}`)
      }
      widget.identifier = String(identifier)
      widget.user = fields
      const hash = md5(JSON.stringify([widget.identifier, Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))]))
      if (readCookie(user) === hash) return
      isUserTold = true
      frame.post('set-user', { identifier: widget.identifier, user: fields })
      writeCookie(user, hash, 365, settings.baseDomain)
    },

    setCustomAttributes(customAttributes: Attributes): void {
      frame.post('set-custom-attributes', { customAttributes: notEmpty('setCustomAttributes', customAttributes) })
    },

    deleteCustomAttribute(customAttribute: string): void {
      frame.post('delete-custom-attribute', { customAttribute: named('deleteCustomAttribute', customAttribute) })
    },

    setConversationCustomAttributes(customAttributes: Attributes): void {
      notEmpty('setConversationCustomAttributes', customAttributes)
      frame.post('set-conversation-custom-attributes', { customAttributes })
    },

    deleteConversationCustomAttribute(customAttribute: string): void {
      named('deleteConversationCustomAttribute', customAttribute)
      frame.post('delete-conversation-custom-attribute', { customAttribute })
    },

    setLabel(label = ''): void {
      frame.post('set-label', { label })
    },

    removeLabel(label = ''): void {
      frame.post('remove-label', { label })
    },

    setLocale(locale = 'en'): void {
      widget.locale = locale
      frame.post('set-locale', { locale })
    },

    setColorScheme(darkMode = 'light'): void {
      widget.darkMode = scheme(darkMode)
      frame.post('set-color-scheme', { darkMode: widget.darkMode })
    },

    /** Forgets the visitor: the next one at this browser begins anew. */
    reset(): void {
      widget.toggle('close')
      leaveUnreadMode()
      bubble.setUnread(0)
      bubble.setLabels({ unreadLabel: '' })
      for (const name of [CONVERSATION, user]) writeCookie(name, '', 0, settings.baseDomain)
      widget.identifier = widget.user = undefined
      widget.resetTriggered = true
      widget.hasLoaded = isUserTold = false
      frame.reload()
    },
  }

  /** What each message of the page does here. */
  const handlers: Record<string, (message: Envelope) => void> = {
    loaded({ config }) {
      const { authToken, channelConfig } = config as { authToken: string; channelConfig: { widgetColor: string } }
      keepToken(authToken)
      bubble.setColour(channelConfig.widgetColor)
      frame.loaded([
        ['config-set', settingsForPage(widget, widget.showPopoutButton, readCookie(SNOOZE))],
        ['toggle-close-button', { isMobile: mobile.matches }],
      ])
      widget.hasLoaded = true
      bubble.setVisible(!widget.hideMessageBubble)
      if (!widget.resetTriggered) dispatch('chatwoot:ready')
      tellAddress()
    },
    setBubbleLabel(message) {
      bubble.setLabels(message as unknown as Labels)
      frame.setTitle(widget.launcherTitle || String(message['label']))
    },
    setAuthCookie({ data }) {
      const { widgetAuthToken, isUnknown } = data as { widgetAuthToken: string; isUnknown?: boolean }
      writeCookie(CONVERSATION, widgetAuthToken, 365, settings.baseDomain)
      if (isUnknown) setUserAgain()
    },
    updateIframeHeight({ isFixedHeight, extraHeight }) {
      frame.setHeight(isFixedHeight ? Number(extraHeight) : null)
    },
    setUnreadMode() {
      if (widget.isOpen) return
      frame.setUnreadMode(true)
      frame.setShown(true)
    },
    resetUnreadMode() {
      leaveUnreadMode()
    },
    handleNotificationDot({ unreadMessageCount }) {
      bubble.setUnread(Number(unreadMessageCount))
    },
    toggleBubble: () => widget.toggle(),
    closeWindow: () => widget.toggle('close'),
    closeChat: () => widget.toggle('close'),
    popoutChatWindow: () => widget.popoutChatWindow(),
    playAudio: () => playSound(),
    setCampaignReadOn() {
      const anHour = 1 / 24
      writeCookie(SNOOZE, String(Date.now() + 3600 * 1000), anHour, settings.baseDomain)
    },
    postback: ({ data }) => dispatch('chatwoot:postback', data),
    onEvent({ eventIdentifier, data }) {
      if (String(eventIdentifier).startsWith('chatwoot:')) dispatch(String(eventIdentifier), data)
    },
    error({ errorType, data }) {
      if (errorType === 'SET_USER_ERROR') {
        writeCookie(user, '', 0, settings.baseDomain)
        widget.identifier = widget.user = undefined
      }
      dispatch('chatwoot:error', data)
    },
  }

  function receive(message: Envelope): void {
    if (Object.hasOwn(handlers, message.event)) handlers[message.event]?.(message)
  }

  /** Keeps the page's token; another one than it was given means that the server did not know the visitor. */
  function keepToken(token: string): void {
    const isNew = readCookie(CONVERSATION) !== token
    writeCookie(CONVERSATION, token, 365, settings.baseDomain)
    if (isNew && !isUserTold) setUserAgain()
  }

  /** Somebody new has to be told of the user as well, whom the cookie takes for told. */
  function setUserAgain(): void {
    writeCookie(user, '', 0, settings.baseDomain)
    if (widget.identifier && widget.user) widget.setUser(widget.identifier, widget.user)
  }

  function leaveUnreadMode(): void {
    frame.setUnreadMode(false)
    frame.setHeight(null)
    if (!widget.isOpen) frame.setShown(false)
  }

  function tellAddress(): void {
    frame.post('change-url', { referrerURL: location.href, referrerHost: location.host })
  }

  return widget
}

/** Pages that never load anew change their address while they change their content. */
function watchAddress(onChange: () => void): void {
  let last = location.href
  const look = () => {
    if (last === location.href) return
    last = location.href
    onChange()
  }
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true })
  addEventListener('popstate', look)
  addEventListener('hashchange', look)
}

function dispatch(name: string, detail?: unknown): void {
  dispatchEvent(new CustomEvent(name, { detail }))
}

function notEmpty(method: string, attributes: Attributes): Attributes {
  if (!attributes || Object.keys(attributes).length === 0) throw new Error(`${method}: give at least one attribute`)
  return attributes
}

function named(method: string, key: string): string {
  if (!key) throw new Error(`${method}: give the name of the attribute`)
  return key
}
