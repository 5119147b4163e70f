/** Times as people say them, in the visitor's language. */

/** `14:05` or `2:05 PM`. */
export function clockTime(seconds: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' }).format(seconds * 1000)
}

/** Today and yesterday by name, others by date. */
export function dayName(seconds: number, locale: string, now = Date.now()): string {
  const [day, today] = [startOfDay(seconds * 1000), startOfDay(now)]
  const ago = Math.round((day - today) / 86_400_000)
  if (ago >= -1)
    return capital(new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(Math.min(ago, 0), 'day'), locale)
  const year = new Date(day).getFullYear() === new Date(today).getFullYear() ? {} : { year: 'numeric' as const }
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', ...year }).format(day)
}

/** For lists: the time of today, else the date in short. */
export function shortTime(seconds: number, locale: string, now = Date.now()): string {
  if (startOfDay(seconds * 1000) === startOfDay(now)) return clockTime(seconds, locale)
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' }).format(seconds * 1000)
}

/** Everything, for the title of a time. */
export function fullTime(seconds: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'short' }).format(seconds * 1000)
}

/** When the team is back: the time, and, if not today, the day. */
export function moment(date: Date, locale: string, now = Date.now()): string {
  const isToday = startOfDay(date.getTime()) === startOfDay(now)
  const day = isToday ? {} : { weekday: 'long' as const }
  return new Intl.DateTimeFormat(locale, { ...day, hour: 'numeric', minute: '2-digit' }).format(date)
}

export function startOfDay(milliseconds: number): number {
  return new Date(milliseconds).setHours(0, 0, 0, 0)
}

/** `1.2 MB`. */
export function fileSize(bytes: number, locale: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte']
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  const format = {
    style: 'unit',
    unit: units[step]!,
    unitDisplay: 'short',
    maximumFractionDigits: step > 1 ? 1 : 0,
  } as const
  return new Intl.NumberFormat(locale, format).format(bytes / 1000 ** step)
}

function capital(text: string, locale: string): string {
  return text.charAt(0).toLocaleUpperCase(locale) + text.slice(1)
}
