/** Addresses that somebody else wrote: only those that may be followed. */

const SCHEMES = ['http:', 'https:', 'mailto:', 'tel:']

/** The address, if it is of a kind that may be followed; with a base, it may be a path as well. */
export function safeUrl(address: string | null | undefined, base?: string): string | null {
  if (!address || !URL.canParse(address, base)) return null
  const url = new URL(address, base)
  return SCHEMES.includes(url.protocol) ? url.href : null
}
