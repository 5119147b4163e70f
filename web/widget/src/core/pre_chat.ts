/** The form before a conversation: which of its fields are asked, and where their values go. */
import type { Contact, PreChatField, WebChannel } from './types'
import { phone, type Values } from './validation'

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

/** The values, sorted into what belongs to the contact and what to the conversation. */
export function introduction(fields: PreChatField[], values: Values) {
  const contact: Record<string, unknown> = {}
  const contactAttributes: Record<string, unknown> = {}
  const attributes: Record<string, unknown> = {}
  for (const field of fields) {
    const value = typed(field, values[field.name])
    if (value === '' || value === undefined) continue
    if (field.name === 'emailAddress') contact['email'] = value
    else if (field.name === 'fullName') contact['name'] = value
    else if (field.name === 'phoneNumber') contact['phone_number'] = phone(String(value))
    else if (field.field_type === 'contact_attribute') contactAttributes[field.name] = value
    else attributes[field.name] = value
  }
  if (Object.keys(contactAttributes).length > 0) contact['custom_attributes'] = contactAttributes
  return { contact, attributes }
}

function typed(field: PreChatField, value: string | boolean | undefined): unknown {
  if (typeof value !== 'string') return value
  const text = value.trim()
  return text !== '' && field.type === 'number' ? Number(text) : text
}
