/** Which files may be sent: the server's limits, told before anything is uploaded. */

export const MOST_FILES = 15
export const LARGEST_MEGABYTES = 40

const KINDS = ['image/', 'audio/', 'video/']
const TYPES = [
  'text/csv',
  'text/plain',
  'text/rtf',
  'text/xml',
  'application/rtf',
  'application/json',
  'application/pdf',
  'application/xml',
  'application/zip',
  'application/x-zip-compressed',
  'application/x-7z-compressed',
  'application/vnd.rar',
  'application/x-rar-compressed',
  'application/x-tar',
  'application/x-pkcs12',
  'application/msword',
  'application/vnd.ms-excel',
  'application/vnd.ms-powerpoint',
]
const FAMILIES = ['application/vnd.openxmlformats-officedocument.', 'application/vnd.oasis.opendocument.']
/** Files of which browsers tell no type. */
const EXTENSIONS = ['csv', 'txt', 'rtf', 'json', 'pdf', 'xml', 'zip', '7z', 'rar', 'tar', 'p12', 'pfx']
const OFFICE = ['doc', 'docx', 'xls', 'xlsx', 'ppt', 'pptx', 'odt', 'ods', 'odp']

/** For the `accept` of a file input. */
export const ACCEPT = [
  ...KINDS.map((kind) => kind + '*'),
  ...[...EXTENSIONS, ...OFFICE].map((name) => '.' + name),
].join(',')

/** Why a file cannot be sent; null if it can. */
export function refusal(file: File): 'fileTooLarge' | 'fileType' | 'fileEmpty' | null {
  if (file.size > LARGEST_MEGABYTES * 1024 * 1024) return 'fileTooLarge'
  if (file.size === 0) return 'fileEmpty'
  return isAllowed(file) ? null : 'fileType'
}

function isAllowed({ type, name }: File): boolean {
  if (type === '') return EXTENSIONS.includes(extension(name)) || OFFICE.includes(extension(name))
  if (type === 'image/svg+xml') return false // can hold scripts
  return TYPES.includes(type) || [...KINDS, ...FAMILIES].some((start) => type.startsWith(start))
}

/** The letters after the last dot of a name. */
export function extension(name: string): string {
  return /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? ''
}

/** The name at the end of an address. */
export function fileName(address: string): string {
  const last = address.split(/[?#]/)[0]!.split('/').at(-1) ?? ''
  try {
    return decodeURIComponent(last)
  } catch {
    return last
  }
}
