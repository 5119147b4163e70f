/** The form before a conversation: which of its fields are asked. */
import type { Contact, PreChatField, WebChannel } from './types'

/** The enabled fields, without those of the standard ones that the server knows already. */
export function preChatFields(channel: WebChannel, contact: Contact): PreChatField[] {
  if (!channel.preChatFormEnabled) return []
  const { has_email, has_phone_number, identifier } = contact
  const known: Record<string, unknown> = {
    emailAddress: has_email,
    // The server invents a name for whoever has told nothing.
    fullName: contact.has_name && (has_email || has_phone_number || identifier),
    phoneNumber: has_phone_number,
  }
  return (channel.preChatFormOptions?.pre_chat_fields ?? []).filter((field) => field.enabled && !known[field.name])
}
