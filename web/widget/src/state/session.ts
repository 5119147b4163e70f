/** Starts the widget and ties its parts together: the server, the socket, the host page, and what is shown. */
import { api } from '../core/api'
import type { Boot } from '../core/boot'
import { Cable } from '../core/cable'
import { listen, post } from '../core/host'
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

let cable: Cable
let isLoaded = false
let offlineTimer: ReturnType<typeof setTimeout> | undefined

/** Begins, once the page can be shown in the right language. */
export async function start(boot: Boot, channel: WebChannel): Promise<void> {
  const asked = new URLSearchParams(location.search).get('locale')
  settings.channel = channel
  api.websiteToken = channel.websiteToken
  api.authToken = boot.authToken ?? ''
  api.onUnknown = async () => (await import('./visitor')).beginAnew()
  chat.start(boot.pubsubToken ?? '')
  await setLocale(asked || channel.locale)
  listen((message) => void hear(message).catch(() => {}))
  post('loaded', { config: { authToken: api.authToken, channelConfig: channel } })
  notices.start()
  cable = new Cable(boot.pubsubToken ?? '', { event: receive, up, down })
}

/** What happened before the subscription stood, or could not be pushed, is fetched. */
async function fetchMissed(): Promise<void> {
  team.load().catch(() => {})
  await chat.refresh()
  if (isLoaded) return
  isLoaded = true
  const unread = chat.conversations.find(({ unread_count }) => unread_count > 0)
  if (!unread) return
  const { payload } = await api.messages(unread.id)
  notices.set(payload.filter(isTheirs).slice(-unread.unread_count))
}

function up(): void {
  clearTimeout(offlineTimer)
  offlineTimer = undefined
  view.isConnected = true
  fetchMissed().catch(() => {})
}

/** The socket is down; what plain requests can do goes on, at the pace of its tries. */
function down(): void {
  offlineTimer ??= setTimeout(() => (view.isConnected = false), OFFLINE_SHOWN_AFTER)
  if (view.isSeen || !isLoaded) fetchMissed().catch(() => {})
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
  'conversation.typing_on': (typing: Typing) =>
    typing.is_private || chat.setTyping(typing.conversation.id, typing.user),
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

/** What each message of the host does here; what a host says seldom is in `commands`. */
async function hear(message: Envelope): Promise<void> {
  if (message.event === 'config-set') {
    const { locale, ...rest } = message as Envelope & HostSettings & { locale?: string }
    settings.host = rest
    await setLocale(locale)
  } else if (message.event === 'toggle-open') {
    view.isOpen = Boolean(message['isOpen'])
    const unread = chat.conversations.find(({ unread_count }) => unread_count > 0)
    if (view.isOpen && unread && view.route === 'home') await chat.open(unread.id)
  } else if (message.event === 'toggle-close-button') {
    settings.isMobile = Boolean(message['isMobile'])
  } else {
    const { obey } = await import('./commands')
    await obey(message)
  }
}

/** Hears from now on what another visitor hears. */
export function listenAs(pubsubToken: string): void {
  cable.subscribeAs(pubsubToken)
  notices.set([])
}

/** The language is also the one in which the server answers. */
export async function setLocale(locale: string | null | undefined): Promise<void> {
  if (!locale) return
  api.locale = locale
  await texts.load(locale).catch(() => {})
}
