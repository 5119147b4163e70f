/** What the pre-chat form said, sorted into what belongs to the contact and what to the conversation. */
import type { PreChatField } from '../core/types'
import { phone, type Values } from '../core/validation'

/** The values of the fields, with the names that the server has for them. */
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
