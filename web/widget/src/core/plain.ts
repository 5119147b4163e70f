/** Markdown without its marks, on one line: for previews, where nothing is to look like anything but words. */

const LONGEST = 400

/** The words of a message. */
export function plain(text: string): string {
  return text
    .slice(0, LONGEST)
    .replace(/!?\[([^[\]]{0,200})\]\([^()\s]{0,400}\)/g, '$1')
    .replace(/^\s{0,3}(#{1,6}|>|[-*+]|```\w*)(?=\s|$)/gm, ' ')
    .replace(/\*\*|__|~~|`+|\*(?=\S)|(?<=\S)\*|\\(?=[*_~`[\]()#>-])/g, '')
    .replace(/\s+/g, ' ')
    .trim()
}
