/** The form before a conversation: which of its fields are asked. */
import type { Contact, PreChatField, WebChannel } from './types'

/** The enabled fields, without those of the standard ones that the server knows already. */
export function preChatFields(channel: WebChannel, contact: Contact): PreChatField[] {
  if (!channel.preChatFormEnabled) return []
  const known: Record<string, boolean | undefined> = {
    emailAddress: contact.has_email,
    fullName: contact.has_name,
    phoneNumber: contact.has_phone_number,
  }
  return (channel.preChatFormOptions?.pre_chat_fields ?? []).filter((field) => field.enabled && !known[field.name])
}
