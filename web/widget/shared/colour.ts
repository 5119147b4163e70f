/** Text on a colour that anybody may have chosen must stay readable: contrast as WCAG 2.2 reckons it. */

type Channels = [number, number, number]

const DEFAULT: Channels = [31, 93, 214]
const DARK = '#10151c'

/** Black or white, whichever reads better on the colour. */
export function textOn(colour: string): string {
  const channels = parse(colour)
  return whiteContrast(channels) >= 4.5 ? '#ffffff' : DARK
}

/** White where it has the contrast that a picture needs (3:1), which is less than text needs. */
export function iconOn(colour: string): string {
  return whiteContrast(parse(colour)) >= 3 ? '#ffffff' : DARK
}

/** The colour itself, or, where white text nearly suffices, a little darker so that it does. */
export function readable(colour: string): string {
  const channels = parse(colour)
  if (whiteContrast(channels) < 2.5) return write(channels)
  let shade = channels
  for (let part = 1; whiteContrast(shade) < 4.5; part -= 0.02) {
    shade = channels.map((channel) => Math.floor(channel * part)) as Channels
  }
  return write(shade)
}

/** The colour in a form that is safe to hand to a style. */
export function safe(colour: string): string {
  return write(parse(colour))
}

function parse(colour: string): Channels {
  const long = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour)
  const short = /^#?([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(colour)
  if (long) return long.slice(1).map((part) => parseInt(part, 16)) as Channels
  if (short) return short.slice(1).map((part) => parseInt(part + part, 16)) as Channels
  return DEFAULT
}

function write(channels: Channels): string {
  return '#' + channels.map((channel) => channel.toString(16).padStart(2, '0')).join('')
}

function whiteContrast(channels: Channels): number {
  const [red, green, blue] = channels.map((channel) => {
    const part = channel / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as Channels
  return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
}
