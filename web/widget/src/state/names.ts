/** What somebody of the team is called, and looks like. */
import type { Sender } from '../core/types'
import { settings } from './settings.svelte'
import { t } from './texts.svelte'

/** The name of who wrote a message; what the inbox itself says comes from the website. */
export function agentName(sender: Sender | null | undefined): string {
  if (!sender) return settings.channel.websiteName
  return sender.available_name || sender.name || (isBot(sender) ? t('bot') : settings.channel.websiteName)
}

export function agentPicture(sender: Sender | null | undefined): string | null | undefined {
  if (!sender || (isBot(sender) && settings.isBotWithInboxAvatar)) return settings.channel.avatarUrl
  return sender.avatar_url || sender.thumbnail
}

function isBot(sender: Sender): boolean {
  return sender.type === 'agent_bot'
}
