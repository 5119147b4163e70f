/** What the host page's scripts ask for: users, attributes, labels, language, colours; and what follows from where it is. */
import { api } from '../core/api'
import { Campaigns } from '../core/campaigns'
import { hasHost, post } from '../core/host'
import { RequestError } from '../core/http'
import type { Envelope } from '../../shared/protocol'
import { chat } from './chat.svelte'
import { notices } from './notices.svelte'
import { setLocale } from './session'
import { settings } from './settings.svelte'
import { team } from './team.svelte'
import { view } from './view.svelte'

type Attributes = Record<string, unknown>

const campaigns = new Campaigns((campaign) => {
  if (!view.isOpen && chat.conversations.length === 0 && team.isCampaignTime(campaign)) notices.campaign = campaign
})

/** Each command once the one before it is done, so that what was asked last holds. What fails is told as `chatwoot:error`. */
export function obey(message: Envelope): Promise<void> {
  done = done.then(async () => {
    const command = Object.hasOwn(commands, message.event) ? commands[message.event] : undefined
    try {
      await command?.(message)
    } catch (error) {
      report(message.event === 'set-user' ? 'SET_USER_ERROR' : message.event, error)
    }
  })
  return done
}

let done: Promise<void> = Promise.resolve()

/** Until there is a conversation to set something on, it waits for the first message. */
const commands: Record<string, (message: Envelope) => unknown> = {
  'sdk-set-bubble-visibility'({ hideMessageBubble }) {
    settings.host = { ...settings.host, hideMessageBubble: Boolean(hideMessageBubble) }
  },
  'set-color-scheme'({ darkMode }) {
    settings.host = { ...settings.host, darkMode: String(darkMode) }
  },
  'set-locale': ({ locale }) => setLocale(String(locale)),
  async 'set-user'({ identifier, user }) {
    const contact = await api.setUser({ ...(user as object), identifier }).catch(checkToken)
    if (!contact) return
    if (contact.widget_auth_token) await (await import('./visitor')).become(contact.widget_auth_token)
    else await chat.refresh()
  },
  'set-custom-attributes': ({ customAttributes }) => api.updateContact({ custom_attributes: customAttributes }),
  'delete-custom-attribute': ({ customAttribute }) => api.removeContactAttribute(String(customAttribute)),
  'set-conversation-custom-attributes'({ customAttributes }) {
    if (chat.conversations.length > 0) return api.setConversationAttributes(customAttributes as Attributes)
    chat.waitingAttributes = { ...chat.waitingAttributes, ...(customAttributes as Attributes) }
  },
  'delete-conversation-custom-attribute'({ customAttribute }) {
    if (chat.conversations.length > 0) return api.removeConversationAttribute(String(customAttribute))
    delete chat.waitingAttributes[String(customAttribute)]
  },
  'set-label'({ label }) {
    if (chat.conversations.length > 0) return api.addLabel(String(label))
    chat.waitingLabels = [...new Set([...chat.waitingLabels, String(label)])]
  },
  'remove-label'({ label }) {
    if (chat.conversations.length > 0) return api.removeLabel(String(label))
    chat.waitingLabels = chat.waitingLabels.filter((other) => other !== label)
  },
  'change-url'({ referrerURL }) {
    chat.referer = String(referrerURL)
    if (Number(settings.host.campaignsSnoozedTill || 0) > Date.now() || view.isOpen || !hasHost) return
    // Not awaited: nothing that the host asks for has to wait for campaigns.
    campaigns.visit(chat.referer).catch(() => {})
  },
  'push-event'({ eventName }) {
    campaigns.stop()
    return api.event(String(eventName), occasion())
  },
}

/** Takes up the campaign that is shown: the server makes a conversation of it. */
export async function acceptCampaign(): Promise<void> {
  const campaign_id = notices.campaign?.id
  notices.campaign = null
  post('setCampaignReadOn')
  await api.event('campaign.triggered', { ...occasion(), campaign_id })
  await chat.refresh()
  const [newest] = chat.conversations
  if (newest) await chat.open(newest.id)
}

/** A user may be refused because the visitor is unknown; then a new one is made, and the host tells the user again. */
async function checkToken(error: unknown): Promise<null> {
  if (error instanceof RequestError && error.status === 401) {
    const token = api.authToken
    await api.contact().catch(() => {})
    if (api.authToken !== token) return null
  }
  throw error
}

function occasion() {
  return { initiated_at: { timestamp: new Date().toString() }, referer: chat.referer }
}

function report(errorType: string, error: unknown): void {
  const { message, status } = error instanceof RequestError ? error : { message: String(error), status: 0 }
  post('error', { errorType, data: { errorType, message, status } })
}
