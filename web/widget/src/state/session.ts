/** Starts the widget and ties its parts together: the server, the socket, the host page, and what is shown. */
import { Api } from '../core/api'
import type { Boot } from '../core/boot'
import { Cable } from '../core/cable'
import type { Campaigns } from '../core/campaigns'
import { hasHost, listen, post } from '../core/host'
import { RequestError } from '../core/http'
import { isTheirs } from '../core/messages'
import type { Conversation, Message, Sender, WebChannel } from '../core/types'
import type { Envelope } from '../../shared/protocol'
import { chat } from './chat.svelte'
import { notices } from './notices.svelte'
import { settings, type HostSettings } from './settings.svelte'
import { team } from './team.svelte'
import { texts } from './texts.svelte'
import { view } from './view.svelte'

const OFFLINE_SHOWN_AFTER = 3_000

let api: Api
let cable: Cable
let campaigns: Campaigns | null = null
let offlineTimer: ReturnType<typeof setTimeout> | undefined

/** Begins; resolves once the page can be shown in the right language. */
export async function start(boot: Boot, channel: WebChannel): Promise<void> {
  const asked = new URLSearchParams(location.search).get('locale')
  settings.channel = channel
  api = new Api(channel.websiteToken, boot.authToken ?? '')
  chat.start(api, owner(boot.pubsubToken))
  await setLocale(asked || channel.locale)
  listen((message) => Object.hasOwn(handlers, message.event) && void handlers[message.event]?.(message))
  post('loaded', { config: { authToken: api.authToken, channelConfig: channel } })
  notices.start()
  cable = new Cable(boot.pubsubToken ?? '', { event: receive, up, down })
  await Promise.allSettled([load(), team.load(api)])
}

/** Says what was done on the page, where the server counts it. */
export function tellEvent(name: string, more: object = {}): void {
  const info = { initiated_at: { timestamp: new Date().toString() }, referer: chat.referer, ...more }
  api.event(name, info).catch(() => {})
}

/** Takes up the campaign that is shown: the server makes a conversation of it. */
export async function acceptCampaign(): Promise<void> {
  const id = notices.campaign?.id
  notices.campaign = null
  post('setCampaignReadOn')
  await api.event('campaign.triggered', {
    initiated_at: { timestamp: new Date().toString() },
    referer: chat.referer,
    campaign_id: id,
  })
  await chat.refresh()
  const [newest] = chat.conversations
  if (newest) await chat.open(newest.id)
}

async function load(): Promise<void> {
  await chat.refresh()
  const unread = chat.conversations.find(({ unread_count }) => unread_count > 0)
  if (!unread) return
  const { payload } = await api.messages(unread.id)
  notices.set(payload.filter(isTheirs).slice(-unread.unread_count))
}

/** The language is also the one in which the server answers. */
async function setLocale(locale: string | null | undefined): Promise<void> {
  if (!locale) return
  api.locale = locale
  await texts.load(locale).catch(() => {})
}

function up(): void {
  clearTimeout(offlineTimer)
  offlineTimer = undefined
  view.isConnected = true
  chat.refresh().catch(() => {})
  team.load(api).catch(() => {})
}

/** The socket is down; what plain requests can do goes on, at the pace of its tries. */
function down(): void {
  offlineTimer ??= setTimeout(() => (view.isConnected = false), OFFLINE_SHOWN_AFTER)
  if (view.isSeen) chat.refresh().catch(() => {})
}

function receive(name: string, data: unknown): void {
  const pushed = pushes[name]
  pushed?.(data as never)
}

const pushes: Record<string, (data: never) => void> = {
  'message.created': created,
  'message.updated': (message: Message) => chat.update(message),
  'conversation.status_changed': (conversation: Conversation) => chat.updateConversation(conversation),
  'conversation.updated': (conversation: Conversation) => chat.updateConversation(conversation),
  'conversation.read': (conversation: Conversation) => chat.updateConversation(conversation),
  'conversation.typing_on': (typing: Typing) => typing.is_private || chat.setTyping(typing.conversation.id, typing.user),
  'conversation.typing_off': (typing: Typing) => chat.setTyping(typing.conversation.id, null),
  'presence.update': ({ users }: { users?: Record<string, string> }) => team.setPresence(users ?? {}),
}

interface Typing {
  conversation: { id: number }
  user: Sender
  is_private?: boolean
}

function created(message: Message): void {
  chat.receive(message, view.isSeen)
  post('onEvent', { eventIdentifier: 'chatwoot:on-message', data: message })
  if (message.private || !isTheirs(message) || message.message_type === 2) return
  if (!view.isOpen) notices.add(message)
  if (message.sender_type === 'User' && !view.isAttended) notices.ring()
}

/** What each message of the host does here. */
const handlers: Record<string, (message: Envelope) => unknown> = {
  async 'config-set'(message) {
    const { locale, ...rest } = message as Envelope & HostSettings & { locale?: string }
    settings.host = rest
    await setLocale(locale)
  },
  'toggle-open'({ isOpen }) {
    view.isOpen = Boolean(isOpen)
    if (!view.isOpen) return
    campaigns?.stop()
    const unread = chat.conversations.find(({ unread_count }) => unread_count > 0)
    if (unread && view.route === 'home') chat.open(unread.id).catch(() => {})
  },
  'toggle-close-button': ({ isMobile }) => (settings.isMobile = Boolean(isMobile)),
  'sdk-set-bubble-visibility'({ hideMessageBubble }) {
    settings.host = { ...settings.host, hideMessageBubble: Boolean(hideMessageBubble) }
  },
  'set-locale': ({ locale }) => setLocale(String(locale)),
  'set-color-scheme'({ darkMode }) {
    settings.host = { ...settings.host, darkMode: String(darkMode) }
  },
  async 'set-user'({ identifier, user }) {
    try {
      const contact = await api.setUser({ identifier, ...(user as object) })
      if (contact.widget_auth_token) await becomeSomebodyElse(contact.widget_auth_token)
      else chat.contact = contact
    } catch (error) {
      report('SET_USER_ERROR', error)
    }
  },
  'set-custom-attributes': attempt(({ customAttributes }) => api.updateContact({ custom_attributes: customAttributes })),
  'delete-custom-attribute': attempt(({ customAttribute }) => api.removeContactAttribute(String(customAttribute))),
  'set-conversation-custom-attributes': attempt(({ customAttributes }) => {
    if (chat.conversations.length > 0) return api.setConversationAttributes(customAttributes as Record<string, unknown>)
    chat.waitingAttributes = { ...chat.waitingAttributes, ...(customAttributes as object) }
  }),
  'delete-conversation-custom-attribute': attempt(({ customAttribute }) => {
    if (chat.conversations.length > 0) return api.removeConversationAttribute(String(customAttribute))
    delete chat.waitingAttributes[String(customAttribute)]
  }),
  'set-label': attempt(({ label }) => {
    if (chat.conversations.length > 0) return api.addLabel(String(label))
    chat.waitingLabels = [...new Set([...chat.waitingLabels, String(label)])]
  }),
  'remove-label': attempt(({ label }) => {
    if (chat.conversations.length > 0) return api.removeLabel(String(label))
    chat.waitingLabels = chat.waitingLabels.filter((other) => other !== label)
  }),
  async 'change-url'({ referrerURL }) {
    chat.referer = String(referrerURL)
    if (Number(settings.host.campaignsSnoozedTill || 0) > Date.now() || view.isOpen || !hasHost) return
    const { Campaigns } = await import('../core/campaigns')
    campaigns ??= new Campaigns(api, (campaign) => {
      if (!view.isOpen && chat.conversations.length === 0 && team.isCampaignTime(campaign)) notices.campaign = campaign
    })
    await campaigns.visit(chat.referer).catch(() => {})
  },
  'push-event': ({ eventName }) => tellEvent(String(eventName)),
}

/** What fails is told to the host page as `chatwoot:error`. */
function attempt(work: (message: Envelope) => unknown): (message: Envelope) => Promise<void> {
  return async (message) => {
    try {
      await work(message)
    } catch (error) {
      report(message.event, error)
    }
  }
}

function report(errorType: string, error: unknown): void {
  const { message, status } = error instanceof RequestError ? error : { message: String(error), status: 0 }
  post('error', { errorType, data: { errorType, message, status } })
}

/** The server knows the visitor as somebody else, who has other conversations. */
async function becomeSomebodyElse(token: string): Promise<void> {
  api.authToken = token
  post('setAuthCookie', { data: { widgetAuthToken: token } })
  const { contact } = await api.config()
  cable.subscribeAs(contact.pubsub_token)
  notices.set([])
  await chat.changeOwner(owner(contact.pubsub_token))
}

/** A name for the visitor, to keep unsent messages by: enough of the token to tell two apart, too little to use it. */
function owner(pubsubToken = ''): string {
  return pubsubToken.slice(0, 8)
}
