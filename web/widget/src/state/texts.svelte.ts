/** The words of the interface, in the visitor's language. English is always here; others are fetched when they are wanted. */
import english from '../i18n/en.json'

export type Key = keyof typeof english
type Words = {
  [key in Key]: (typeof english)[key] extends string ? string : Partial<Record<Intl.LDMLPluralRule, string>>
}

const files = import.meta.glob<Words>(['../i18n/*.json', '!../i18n/en.json'], { import: 'default' })
const RIGHT_TO_LEFT = ['ar']

class Texts {
  #words = $state.raw<Words>(english)
  language = $state.raw('en')
  /** For numbers and times: the language with its region, as it was asked for. */
  locale = $state.raw('en')

  /** Goes over to a language such as `pt_BR` or `de`; one that is missing leaves what is there. */
  async load(wanted: string | null | undefined): Promise<void> {
    const [language = '', region] = (wanted ?? '').split(/[_-]/)
    const file = files[`../i18n/${language.toLowerCase()}.json`]
    if (language.toLowerCase() !== 'en' && !file) return
    this.#words = file ? await file() : english
    this.language = language.toLowerCase()
    this.locale = canonical(region ? `${language}-${region}` : language)
    document.documentElement.lang = this.language
    document.documentElement.dir = RIGHT_TO_LEFT.includes(this.language) ? 'rtl' : 'ltr'
  }

  /** The text of a key, with the values put in; `count` decides between singular and plural. */
  get(key: Key, values: Record<string, string | number> = {}): string {
    const entry: unknown = this.#words[key]
    const text =
      typeof entry === 'string' ? entry : this.#plural(entry as Record<string, string>, Number(values['count']))
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name]
      return typeof value === 'number' ? value.toLocaleString(this.locale) : (value ?? whole)
    })
  }

  #plural(forms: Record<string, string>, count: number): string {
    return forms[new Intl.PluralRules(this.locale).select(count)] ?? forms['other'] ?? ''
  }
}

export const texts = new Texts()

/** Short for `texts.get`: it stands in every component. */
export const t = (key: Key, values?: Record<string, string | number>): string => texts.get(key, values)

function canonical(locale: string): string {
  try {
    return Intl.getCanonicalLocales(locale)[0] ?? 'en'
  } catch {
    return 'en'
  }
}
