/** What may stand in a field of a form; the server checks again. */

/** A field as forms show it, whether it comes from the pre-chat form or from a message. */
export interface Field {
  name: string
  label: string
  placeholder: string
  type: 'text' | 'textarea' | 'email' | 'tel' | 'number' | 'date' | 'url' | 'checkbox' | 'select'
  isRequired: boolean
  options: { label: string; value: string }[]
  pattern: string | null
  /** What to say if the pattern does not match. */
  patternError: string
  initial: string
  /** What the browser may fill in by itself. */
  autocomplete: AutoFill
}

export type Values = Record<string, string | boolean>

/** The key of the text that says what is wrong; null if nothing is. */
export function mistake(field: Field, value: string | boolean | undefined): MistakeKey | null {
  const text = typeof value === 'string' ? value.trim() : value
  if (!text) return field.isRequired ? 'fieldRequired' : null
  if (typeof text !== 'string') return null
  if (field.type === 'email' && !/^[^\s@]+@[^\s@]+\.[^\s@]{2,}$/.test(text)) return 'fieldEmail'
  if (field.type === 'tel' && !/^\+[1-9]\d{5,14}$/.test(phone(text))) return 'fieldPhone'
  if (field.type === 'number' && !Number.isFinite(Number(text))) return 'fieldNumber'
  if (field.type === 'url' && !/^https?:\/\/\S+\.\S+$/.test(text)) return 'fieldLink'
  if (field.pattern && !matches(field.pattern, text)) return 'fieldPattern'
  return null
}

export type MistakeKey = 'fieldRequired' | 'fieldEmail' | 'fieldPhone' | 'fieldNumber' | 'fieldLink' | 'fieldPattern'

/** A telephone number as the server keeps it: plus and digits. */
export function phone(text: string): string {
  return text.replace(/^00/, '+').replace(/[\s().-]/g, '')
}

/** A pattern that is none refuses nothing: the visitor could not help it. */
function matches(pattern: string, text: string): boolean {
  const [, body, flags] = /^\/(.+)\/([a-z]*)$/s.exec(pattern) ?? ['', pattern, '']
  try {
    return new RegExp(body!, flags!.replace(/[gy]/g, '')).test(text)
  } catch {
    return true
  }
}
