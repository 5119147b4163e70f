/** What needs no browser: markdown, hashes, hours, fields, addresses of campaigns, and that every language says everything. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { md5 } from '../sdk/md5'
import { iconOn, readable, safe, textOn } from '../shared/colour'
import { isMeant } from '../src/core/campaigns'
import { refusal } from '../src/core/files'
import { isWithinHours, nextOpening } from '../src/core/hours'
import { parse } from '../src/core/markdown'
import { merge, refresh } from '../src/core/messages'
import { plain } from '../src/core/plain'
import type { Message, WebChannel } from '../src/core/types'
import { safeUrl } from '../src/core/urls'
import { mistake, phone, type Field } from '../src/core/validation'

test('markdown becomes the tree that it means', () => {
  expect(parse('**a** _b_ ~~c~~ `d`\ne')).toEqual([
    {
      kind: 'paragraph',
      children: [
        { kind: 'strong', children: [{ kind: 'text', text: 'a' }] },
        { kind: 'text', text: ' ' },
        { kind: 'em', children: [{ kind: 'text', text: 'b' }] },
        { kind: 'text', text: ' ' },
        { kind: 'del', children: [{ kind: 'text', text: 'c' }] },
        { kind: 'text', text: ' ' },
        { kind: 'code', text: 'd' },
        { kind: 'break' },
        { kind: 'text', text: 'e' },
      ],
    },
  ])
  expect(parse('3. x\n4. y\n\n> q\n\n```\n<b>\n```').map((block) => block.kind)).toEqual(['list', 'quote', 'code'])
  expect(parse('see https://a.example/x_(y). Bye')[0]).toMatchObject({
    children: [{ text: 'see ' }, { kind: 'link', href: 'https://a.example/x_(y' }, { text: '). Bye' }],
  })
  expect(parse('snake_case_name and 2 * 3 * 4')).toEqual([
    { kind: 'paragraph', children: [{ kind: 'text', text: 'snake_case_name and 2 * 3 * 4' }] },
  ])
  expect(plain('**Hello** [you](https://a.example)\n- `x`')).toBe('Hello you x')
})

test('links lead nowhere but where links may', () => {
  for (const address of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc',
    '//evil',
    'blob:x',
  ]) {
    expect(safeUrl(address), address).toBeNull()
    expect(JSON.stringify(parse(`[click](${address})`)), address).not.toContain('"link"')
  }
  expect(safeUrl('mailto:ada@example.com')).toBe('mailto:ada@example.com')
})

test('hostile text takes no longer than in proportion to its length', () => {
  for (const piece of [
    '**a ',
    '[',
    '[a](',
    '`',
    '_a ',
    '> ',
    '~~x',
    '![](',
    'http://',
    'a@',
    '* ',
    '\\',
    '__',
    '1. x\n',
  ]) {
    const start = performance.now()
    parse(piece.repeat(20_000 / piece.length))
    plain(piece.repeat(20_000))
    expect(performance.now() - start, piece).toBeLessThan(3000)
  }
  expect(parse('**x** '.repeat(10_000))).toMatchObject([{ kind: 'paragraph', children: [{ kind: 'text' }] }])
})

test('md5 is MD5', () => {
  for (const text of ['', 'a', 'Grüße 🙏', 'x'.repeat(55), 'x'.repeat(56), 'x'.repeat(64), 'x'.repeat(1000)]) {
    expect(md5(text)).toBe(createHash('md5').update(text).digest('hex'))
  }
})

test('text can be read on any colour', () => {
  expect([textOn('#1f5dd6'), textOn('#ffd400'), textOn('#fff')]).toEqual(['#ffffff', '#10151c', '#10151c'])
  expect(iconOn('#1f93ff')).toBe('#ffffff')
  expect(textOn(readable('#1f93ff'))).toBe('#ffffff')
  expect(readable('#ffd400')).toBe('#ffd400')
  expect(safe('red;background:url(x)')).toBe('#1f5dd6')
})

test('hours are those of the inbox, whichever zone the visitor is in', () => {
  const day = {
    closed_all_day: false,
    open_all_day: false,
    open_hour: 9,
    open_minutes: 30,
    close_hour: 17,
    close_minutes: 0,
  }
  const closed = { ...day, closed_all_day: true }
  const channel = {
    workingHoursEnabled: true,
    timezone: 'America/New_York',
    workingHours: [0, 1, 2, 3, 4, 5, 6].map((n) => ({ ...(n === 0 || n === 6 ? closed : day), day_of_week: n })),
  } as unknown as WebChannel
  expect(isWithinHours(channel, new Date('2026-06-19T13:29:00Z'))).toBe(false)
  expect(isWithinHours(channel, new Date('2026-06-19T13:30:00Z'))).toBe(true)
  expect(isWithinHours(channel, new Date('2026-06-19T21:00:00Z'))).toBe(false)
  expect(nextOpening(channel, new Date('2026-06-19T21:00:00Z'))?.toISOString()).toBe('2026-06-22T13:30:00.000Z')
  // In between the clocks go forward, and back.
  expect(nextOpening(channel, new Date('2026-03-06T23:00:00Z'))?.toISOString()).toBe('2026-03-09T13:30:00.000Z')
  expect(nextOpening(channel, new Date('2026-10-30T22:00:00Z'))?.toISOString()).toBe('2026-11-02T14:30:00.000Z')
  const elsewhere = { ...channel, timezone: 'Nowhere/At_All', utcOffset: '+02:00' }
  expect(isWithinHours(elsewhere, new Date('2026-06-19T07:30:00Z'))).toBe(true)
  expect(isWithinHours({ ...channel, workingHoursEnabled: false }, new Date())).toBe(true)
})

test('fields say what is wrong with them', () => {
  const field = (more: Partial<Field>): Field => ({
    name: 'x',
    label: '',
    placeholder: '',
    type: 'text',
    isRequired: false,
    options: [],
    pattern: null,
    patternError: '',
    initial: '',
    autocomplete: 'off',
    ...more,
  })
  expect(mistake(field({ isRequired: true }), '  ')).toBe('fieldRequired')
  expect(mistake(field({ type: 'email' }), 'a@b')).toBe('fieldEmail')
  expect(mistake(field({ type: 'tel' }), '0151 1')).toBe('fieldPhone')
  expect(mistake(field({ type: 'tel' }), '0049 151-234 567')).toBeNull()
  expect(phone('0049 (151) 234.567')).toBe('+49151234567')
  expect(mistake(field({ type: 'number' }), 'x')).toBe('fieldNumber')
  expect(mistake(field({ type: 'url' }), 'javascript:x')).toBe('fieldLink')
  expect(mistake(field({ pattern: '/^a$/i' }), 'A')).toBeNull()
  expect(mistake(field({ pattern: '^a$' }), 'b')).toBe('fieldPattern')
  expect(mistake(field({ pattern: '(' }), 'b')).toBeNull()
})

test('files are held to type and size', () => {
  const file = (name: string, type: string, size = 10) => ({ name, type, size }) as File
  expect(refusal(file('a.png', 'image/png'))).toBeNull()
  expect(refusal(file('a.docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'))).toBeNull()
  expect(refusal(file('a.7z', ''))).toBeNull()
  expect(refusal(file('a.html', 'text/html'))).toBe('fileType')
  expect(refusal(file('a.svg', 'image/svg+xml'))).toBe('fileType')
  expect(refusal(file('a.exe', ''))).toBe('fileType')
  expect(refusal(file('a.png', 'image/png', 0))).toBe('fileEmpty')
  expect(refusal(file('a.mp4', 'video/mp4', 41 * 1024 * 1024))).toBe('fileTooLarge')
})

test('campaigns are meant for the pages that their pattern names', () => {
  expect(isMeant('https://a.example/prices', 'https://a.example/prices/#top')).toBe(true)
  expect(isMeant('https://a.example/*', 'https://a.example/prices')).toBe(true)
  expect(isMeant('https://*.example/*/prices', 'https://a.example/de/prices')).toBe(true)
  expect(isMeant('https://a.example/prices', 'https://a.example/prices2')).toBe(false)
  expect(isMeant('', 'https://a.example/')).toBe(false)
})

test('lists hold each message once, in order, and never with a gap', () => {
  const message = (id: number, more = {}) => ({ id, message_type: 0, content: String(id), ...more }) as Message
  const ids = (list: Message[]) => list.map(({ id }) => id)
  expect(ids(merge([message(1), message(3)], [message(2), message(3), message(4, { private: true })]))).toEqual([
    1, 2, 3,
  ])
  expect(ids(refresh([message(1), message(2)], [message(2), message(3)]))).toEqual([1, 2, 3])
  expect(ids(refresh([message(1), message(2)], [message(8), message(9)]))).toEqual([8, 9])
})

test('every language says everything, with the same values in it', () => {
  const folder = join(import.meta.dirname, '../src/i18n')
  type Words = Record<string, string | Record<string, string>>
  const read = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Words
  const names = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort()
  const english = read('en.json')
  const files = readdirSync(folder)
  expect(files.sort()).toEqual(['ar.json', 'de.json', 'en.json', 'es.json', 'fr.json', 'hi.json', 'pt.json'])
  const faults: string[] = []
  for (const file of files) {
    const words = read(file)
    expect(Object.keys(words), file).toEqual(Object.keys(english))
    const forms = new Intl.PluralRules(file.slice(0, 2)).resolvedOptions().pluralCategories
    for (const [key, text] of Object.entries(words)) {
      const isRight =
        typeof text === 'string'
          ? String(names(text)) === String(names(english[key] as string))
          : // Millions of messages ("many" in Romance languages) are not expected; Arabic has "many" from eleven on.
            forms.every((form) => form in text || (form === 'many' && file !== 'ar.json'))
      if (!isRight) faults.push(`${file} ${key}`)
    }
  }
  expect(faults).toEqual([])
})
