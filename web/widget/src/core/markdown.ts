/**
 * Markdown as a tree: what is not on this short list of kinds cannot be shown, so nothing that anybody writes becomes markup.
 * Repeats are bounded, so that no text takes longer than in proportion to its length.
 */
import { safeUrl } from './urls'

export type Inline =
  | { kind: 'text'; text: string }
  | { kind: 'break' }
  | { kind: 'code'; text: string }
  | { kind: 'strong' | 'em' | 'del'; children: Inline[] }
  | { kind: 'link'; href: string; children: Inline[] }

export type Block =
  | { kind: 'paragraph' | 'heading'; children: Inline[] }
  | { kind: 'list'; isOrdered: boolean; start: number; items: Inline[][] }
  | { kind: 'quote'; blocks: Block[] }
  | { kind: 'code'; text: string }

const LONGEST = 20_000
const DEEPEST = 4

const ESCAPE = String.raw`\\([\\${'`'}*_{}[\]()#+\-.!~>|])`
const CODE = '`([^`\\n]{1,2000})`'
const LINK = String.raw`!?\[([^[\]\n]{0,400})\]\(\s{0,3}([^\s()<>]{1,2000}(?:\([^\s()]{0,200}\)[^\s()]{0,200})?)(?:\s{1,3}"[^"\n]{0,200}")?\s{0,3}\)`
const ADDRESS = String.raw`<?(https?:\/\/[^\s<>"]{1,2000})>?`
const MAIL = String.raw`([\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5})`
const STRONG = String.raw`\*\*(?=\S)([^\n]{1,400}?)\*\*(?!\*)|__(?=\S)([^\n]{1,400}?)__`
const EM = String.raw`\*(?=[^\s*])([^*\n]{1,400}?)\*|(?<!\w)_(?=[^\s_])([^_\n]{1,400}?)_(?!\w)`
const DEL = String.raw`~~(?=\S)([^\n]{1,400}?)~~`
const INLINE = new RegExp([ESCAPE, CODE, LINK, ADDRESS, MAIL, STRONG, EM, DEL].join('|'), 'g')

/** Reads the blocks of a text; an overlong one is shown as it is. */
export function parse(text: string): Block[] {
  if (text.length > LONGEST)
    return [{ kind: 'paragraph', children: lines(text, (line) => [{ kind: 'text', text: line }]) }]
  return blocks(text.replace(/\r\n?/g, '\n').split('\n'), 0)
}

function blocks(all: string[], depth: number): Block[] {
  const found: Block[] = []
  let at = 0
  const take = (pattern: RegExp) => {
    const from = at
    while (at < all.length && pattern.test(all[at]!)) at++
    return all.slice(from, at)
  }
  while (at < all.length) {
    const line = all[at]!
    if (line.trim() === '') at++
    else if (line.startsWith('```')) {
      const end = all.findIndex((other, index) => index > at && other.startsWith('```'))
      const last = end < 0 ? all.length : end
      found.push({ kind: 'code', text: all.slice(at + 1, last).join('\n') })
      at = last + 1
    } else if (/^>/.test(line) && depth < DEEPEST) {
      found.push({
        kind: 'quote',
        blocks: blocks(
          take(/^>/).map((quoted) => quoted.replace(/^> ?/, '')),
          depth + 1,
        ),
      })
    } else if (/^\s{0,3}[-*+] +\S/.test(line)) {
      const items = take(/^\s{0,6}[-*+] +\S/).map((item) => inline(item.replace(/^\s*[-*+] +/, '')))
      found.push({ kind: 'list', isOrdered: false, start: 1, items })
    } else if (/^\s{0,3}\d{1,9}[.)] +\S/.test(line)) {
      const items = take(/^\s{0,6}\d{1,9}[.)] +\S/).map((item) => inline(item.replace(/^\s*\d+[.)] +/, '')))
      found.push({ kind: 'list', isOrdered: true, start: parseInt(line, 10), items })
    } else if (/^#{1,6} +\S/.test(line)) {
      found.push({ kind: 'heading', children: inline(line.replace(/^#+ +/, '')) })
      at++
    } else {
      const from = at++
      while (at < all.length && !/^(\s*$|```|>|\s{0,3}[-*+] +\S|\s{0,3}\d{1,9}[.)] +\S|#{1,6} +\S)/.test(all[at]!)) at++
      found.push({ kind: 'paragraph', children: lines(all.slice(from, at).join('\n'), inline) })
    }
  }
  return found
}

function lines(text: string, read: (line: string) => Inline[]): Inline[] {
  return text
    .split('\n')
    .flatMap((line, index) => (index > 0 ? [{ kind: 'break' } as Inline, ...read(line)] : read(line)))
}

function inline(text: string, depth = 0, isInLink = false): Inline[] {
  if (depth > DEEPEST) return [{ kind: 'text', text }]
  const found: Inline[] = []
  let at = 0
  const addText = (words: string) => {
    const last = found.at(-1)
    if (last?.kind === 'text') last.text += words
    else if (words) found.push({ kind: 'text', text: words })
  }
  const children = (words: string) => inline(words, depth + 1, isInLink)
  for (const match of text.matchAll(INLINE)) {
    const [whole, escaped, code, label, target, address, mail, strong, strong2, em, em2, del] = match
    addText(text.slice(at, match.index))
    at = match.index + whole.length
    if (escaped !== undefined) addText(escaped)
    else if (code !== undefined) found.push({ kind: 'code', text: code })
    else if (target !== undefined) addLink(target, inline(label || target, depth + 1, true), whole)
    else if (address !== undefined) {
      const trimmed = isInLink ? address : address.replace(/[.,;:!?'")\]*_~]+$/, '')
      addLink(trimmed, [{ kind: 'text', text: trimmed }], trimmed)
      if (!whole.startsWith('<')) addText(address.slice(trimmed.length))
    } else if (mail !== undefined) addLink(`mailto:${mail}`, [{ kind: 'text', text: mail }], mail)
    else if (del !== undefined) found.push({ kind: 'del', children: children(del) })
    else if (strong !== undefined || strong2 !== undefined) {
      found.push({ kind: 'strong', children: children(strong ?? strong2 ?? '') })
    } else found.push({ kind: 'em', children: children(em ?? em2 ?? '') })
  }
  addText(text.slice(at))
  return found

  function addLink(target: string, words: Inline[], source: string): void {
    const href = isInLink ? null : safeUrl(target)
    if (href) found.push({ kind: 'link', href, children: words })
    else addText(source)
  }
}
