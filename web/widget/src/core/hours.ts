/** Whether the team works now, and when it is back, in the time zone of the inbox. */
import type { WebChannel, WorkingHours } from './types'

const DAY = 24 * 60
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** An inbox without working hours is never closed. */
export function isWithinHours(channel: WebChannel, now: Date): boolean {
  if (!channel.workingHoursEnabled) return true
  const { weekday, minute } = clock(channel, now)
  const day = hoursOf(channel, weekday)
  if (!day || day.closed_all_day) return false
  return day.open_all_day || (minute >= opening(day) && minute < closing(day))
}

/** When the team opens next; null if it never does. */
export function nextOpening(channel: WebChannel, now: Date): Date | null {
  const { weekday, minute } = clock(channel, now)
  for (let ahead = 0; ahead <= 7; ahead++) {
    const day = hoursOf(channel, (weekday + ahead) % 7)
    if (!day || day.closed_all_day) continue
    const minutes = ahead * DAY + opening(day) - minute
    if (minutes <= 0) continue
    const at = now.getTime() - (now.getTime() % 60_000) + minutes * 60_000
    // If the clocks change until then, the opening is as much nearer or farther.
    const change = ((opening(day) - clock(channel, new Date(at)).minute + 1.5 * DAY) % DAY) - DAY / 2
    return new Date(at + change * 60_000)
  }
  return null
}

function hoursOf(channel: WebChannel, weekday: number): WorkingHours | undefined {
  return channel.workingHours?.find((day) => day.day_of_week === weekday)
}

function opening(day: WorkingHours): number {
  return day.open_all_day ? 0 : (day.open_hour ?? 0) * 60 + (day.open_minutes ?? 0)
}

function closing(day: WorkingHours): number {
  return (day.close_hour ?? 0) * 60 + (day.close_minutes ?? 0)
}

/** Day of the week and minute of the day there. */
function clock(channel: WebChannel, now: Date): { weekday: number; minute: number } {
  try {
    const format = new Intl.DateTimeFormat('en', {
      timeZone: channel.timezone ?? 'UTC',
      weekday: 'short',
      hour: 'numeric',
      minute: 'numeric',
      hourCycle: 'h23',
    })
    const parts = Object.fromEntries(format.formatToParts(now).map(({ type, value }) => [type, value]))
    const minute = Number(parts['hour']) * 60 + Number(parts['minute'])
    return { weekday: WEEKDAYS.indexOf(parts['weekday'] ?? ''), minute }
  } catch {
    return offsetClock(channel.utcOffset ?? '+00:00', now)
  }
}

/** For a name of a zone that the browser does not know. */
function offsetClock(offset: string, now: Date): { weekday: number; minute: number } {
  const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(offset) ?? ['', '+', '0', '0']
  const shift = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1)
  const there = new Date(now.getTime() + shift * 60_000)
  return { weekday: there.getUTCDay(), minute: there.getUTCHours() * 60 + there.getUTCMinutes() }
}
