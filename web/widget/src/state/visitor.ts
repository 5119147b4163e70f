/** How the visitor becomes somebody else: a person whom the server knows, or, where it knows nobody any more, a new one. */
import { api } from '../core/api'
import { post } from '../core/host'
import { chat } from './chat.svelte'
import { listenAs } from './session'
import { t } from './texts.svelte'
import { view } from './view.svelte'

/** The server knows the visitor as a person who has other conversations. */
export async function become(token: string): Promise<void> {
  api.authToken = token
  post('setAuthCookie', { data: { widgetAuthToken: token } })
  const { contact } = await api.config()
  listenAs(contact.pubsub_token)
  // Who has said nothing so far has only said now who they are.
  await chat.changeOwner(contact.pubsub_token, chat.conversations.length === 0)
}

/** The token has expired or its contact was removed: with a new one the visitor goes on, and the host says again who it is. */
export async function beginAnew(): Promise<void> {
  const { website_channel_config, contact } = await api.config()
  api.authToken = website_channel_config.auth_token
  if (chat.conversations.length > 0) view.announce(t('begunAnew'))
  listenAs(contact.pubsub_token)
  post('setAuthCookie', { data: { widgetAuthToken: api.authToken, isUnknown: true } })
  chat.changeOwner(contact.pubsub_token, true).catch(() => {})
}
