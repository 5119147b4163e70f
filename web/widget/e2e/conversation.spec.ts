/** A conversation between a visitor in the widget and an agent at the API: words, marks, files, and what is hostile. */
import { deflateSync } from 'node:zlib'
import { examine, expect, openWidget, photograph, say, test, widget } from './fixture'
import type { Message } from './agent'

interface Pushed extends Message {
  inbox_id: number
}

test('a message reaches the agent over the socket, his answer the widget; a reload and another visit go on', async ({
  page,
  newInbox,
  newSite,
  bob,
  cable,
}) => {
  const inbox = await newInbox({}, { greeting_enabled: true, greeting_message: 'Thank you, we are on it.' })
  const site = await newSite(inbox)
  const isOfHere = ({ inbox_id }: Pushed) => inbox_id === inbox.id
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'Where is my order?')

  const heard = await cable.next<Pushed>('message.created', (m) => isOfHere(m) && m.message_type === 0)
  expect(heard).toMatchObject({ content: 'Where is my order?', content_type: 'text' })
  const id = heard.conversation_id
  const conversation = await bob.conversation(inbox)
  expect(conversation).toMatchObject({ id, additional_attributes: { referer: `${site.url}/` } })
  await expect(frame.getByText('Thank you, we are on it.')).toBeVisible()

  await frame.getByRole('textbox', { name: 'Message' }).pressSequentially('And')
  await cable.next<{ conversation: { id: number } }>(
    'conversation.typing_on',
    (typing) => typing.conversation.id === id,
  )
  await bob.post(`/conversations/${id}/toggle_typing_status`, { typing_status: 'on' })
  await expect(frame.getByText('Bob Tanaka is typing')).toBeAttached()
  await bob.post(`/conversations/${id}/update_last_seen`)
  await expect(frame.getByText('Read', { exact: true })).toBeVisible()
  await bob.post(`/conversations/${id}/messages`, { content: 'Only we know this', private: true })
  await bob.say(id, 'It left **this morning**.')
  await expect(frame.locator('strong', { hasText: 'this morning' })).toBeVisible()
  await examine(page, 'daemon/conversation')

  await page.reload()
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(frame.getByText('Continue the conversation')).toBeVisible()
  await frame.getByRole('button', { name: /this morning/ }).click()
  const log = frame.getByRole('log')
  await expect(log.getByText('Where is my order?')).toBeVisible()
  await expect(log.getByText('Only we know this')).toHaveCount(0)
  await say(frame, 'Thanks!')
  await expect.poll(() => bob.written(id)).toEqual(['Where is my order?', 'Thanks!'])

  await frame.getByRole('button', { name: 'Back' }).click()
  await frame.getByRole('button', { name: 'Start a new conversation' }).click()
  await say(frame, 'Something else')
  await expect.poll(async () => (await bob.conversations(inbox)).length).toBe(2)

  // Away from the page, and back later: what was said meanwhile waits above the bubble.
  await page.goto('about:blank')
  await bob.say(id, 'It has arrived, hasn’t it?')
  await page.goto(site.url)
  await expect(widget(page).getByText('It has arrived')).toBeVisible()
  await expect(page.getByRole('button', { name: /^Chat with us, \d unread message/ })).toBeVisible()
  await photograph(page, 'daemon/returning-unread')
  await widget(page).getByText('It has arrived').click()
  await frame.getByRole('button', { name: 'Back' }).click()
  await frame.getByRole('button', { name: 'See all conversations' }).click()
  await expect(frame.getByRole('button', { name: /It has arrived/ })).toBeVisible()
  await expect(frame.locator('button.card')).toHaveCount(2)
  await examine(page, 'daemon/returning-conversations')
})

test('a picture arrives and is shown; what a browser would run is never shown inline', async ({
  page,
  context,
  daemon,
  newInbox,
  newSite,
  bob,
}) => {
  const inbox = await newInbox()
  const site = await newSite(inbox)
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  const choose = (name: string, mimeType: string, content: Buffer | string) =>
    frame.locator('input[type=file]').setInputFiles([{ name, mimeType, buffer: Buffer.from(content) }])
  await choose('blue.png', 'image/png', picture())
  await frame.getByRole('textbox', { name: 'Message' }).fill('It looks like this')
  await frame.getByRole('button', { name: 'Send' }).click()
  await expect(frame.getByText('Sent')).toBeVisible()
  const shown = frame.getByRole('log').locator('.picture img')
  await expect.poll(() => shown.evaluate((node: HTMLImageElement) => node.naturalWidth)).toBeGreaterThan(0)
  const { id } = await bob.conversation(inbox)
  const [message] = (await bob.messages(id)).filter(({ message_type }) => message_type === 0)
  expect(message).toMatchObject({ content: 'It looks like this', attachments: [{ file_type: 'image' }] })
  const received = await fetch(message!.attachments![0]!.data_url)
  expect(received.headers.get('content-type')).toBe('image/png')
  expect(Buffer.from(await received.arrayBuffer())).toEqual(picture())
  await examine(page, 'daemon/file-picture')

  for (const [name, type] of [
    ['page.html', 'text/html'],
    ['drawing.svg', 'image/svg+xml'],
  ] as const) {
    await choose(name, type, 'any')
    await expect(frame.getByRole('alert')).toHaveText(`Files like ${name} cannot be sent.`)
  }
  await photograph(page, 'daemon/file-refused')

  // Past the widget, by a visitor who writes requests.
  const token = (await context.cookies(site.url)).find(({ name }) => name === 'cw_conversation')!.value
  for (const [name, type, content, isTaken] of [
    ['list.csv', '', 'a,b', true],
    ['all.zip', 'application/x-zip-compressed', 'PK\x05\x06' + '\0'.repeat(18), true],
    ['page.txt', 'text/plain', '<!doctype html><script>alert(1)</script>', false],
    ['picture.png', 'image/png', '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', true],
    ['page.html', 'text/html', '<!doctype html><script>alert(1)</script>', false],
    ['drawing.svg', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', false],
  ] as const) {
    const form = new FormData()
    form.append('message[attachments][]', new Blob([content], { type }), name)
    const url = `${daemon.url}/api/v1/widget/messages?website_token=${inbox.website_token}&conversation_id=${id}`
    const answer = await fetch(url, { method: 'POST', headers: { 'X-Auth-Token': token }, body: form })
    expect(answer.status, `${name}: ${await answer.text()}`).toBe(isTaken ? 200 : 422)
  }
  const files = (await bob.messages(id)).flatMap(({ attachments }) => attachments ?? []).slice(1)
  for (const { data_url } of files) {
    const { headers } = await fetch(data_url)
    const [type, disposition] = [headers.get('content-type'), headers.get('content-disposition')]
    expect(type, data_url).not.toMatch(/html|svg|xml|script/)
    // What says that it is a picture is taken for one and nothing else.
    if (!/^image\/(png|jpeg|gif|webp)$/.test(type ?? '')) expect(disposition, data_url).toMatch(/^attachment/)
    expect(headers.get('x-content-type-options'), data_url).toBe('nosniff')
  }
})

const SCRIPT = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script></script><svg onload="window.pwned=1"><b>bold</b>`

test('scripts in names, words, attributes, addresses and files are text, in the widget and in the survey', async ({
  page,
  daemon,
  newInbox,
  newSite,
  team,
  bob,
}) => {
  const inbox = await newInbox(
    { welcome_title: SCRIPT, welcome_tagline: `</script>${SCRIPT}` },
    { name: SCRIPT, csat_survey_enabled: true, greeting_enabled: true, greeting_message: SCRIPT },
  )
  const site = await newSite(inbox)
  await page.goto(`${site.url}/?q=${encodeURIComponent(SCRIPT)}`)
  await page.evaluate((script) => {
    const chat = (window as unknown as { $chatwoot?: Record<string, (...values: unknown[]) => void> }).$chatwoot
    const say = () => {
      const { $chatwoot } = window as unknown as { $chatwoot: Record<string, (...values: unknown[]) => void> }
      $chatwoot['setUser']!(script, { name: script })
      $chatwoot['setCustomAttributes']!({ note: script })
      $chatwoot['setConversationCustomAttributes']!({ page: script })
    }
    if (chat) say()
    else addEventListener('chatwoot:ready', say, { once: true })
  }, SCRIPT)
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  const frame = widget(page)
  await expect(frame.locator('h1')).toHaveText(SCRIPT)
  await examine(page, 'daemon/hostile-home')
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await frame.locator('input[type=file]').setInputFiles([
    {
      name: '"><img src=x onerror="window.pwned=1">.pdf',
      mimeType: 'application/pdf',
      buffer: Buffer.from('%PDF-1.7'),
    },
  ])
  await frame.getByRole('textbox', { name: 'Message' }).fill(SCRIPT)
  await frame.getByRole('button', { name: 'Send' }).click()
  const log = frame.getByRole('log')
  await expect(frame.getByText('Sent')).toBeVisible()
  const conversation = await bob.conversation(inbox)
  expect(conversation.meta.sender).toMatchObject({ name: SCRIPT, custom_attributes: { note: SCRIPT } })
  expect(await bob.written(conversation.id)).toEqual([SCRIPT])
  await bob.say(conversation.id, `${SCRIPT} [x](javascript:window.pwned=1) **${SCRIPT}**`)
  await expect(log.locator('strong')).toHaveText(SCRIPT)
  await team.admin.post(`/conversations/${conversation.id}/toggle_status`, { status: 'resolved' })
  await expect(frame.getByText('How would you rate this conversation?')).toBeVisible()
  await examine(page, 'daemon/hostile-chat')
  expect(await log.locator('script, svg[onload], img[onerror], b, iframe, object').count()).toBe(0)
  const links = await log.locator('a').evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).protocol))
  expect(links.filter((protocol) => !['http:', 'https:'].includes(protocol))).toEqual([])
  const pwned = () => Promise.all(page.frames().map((f) => f.evaluate(() => 'pwned' in window)))
  expect(await pwned()).toEqual([false, false])

  await page.goto(`${daemon.url}/survey/responses/${conversation.uuid}`)
  await expect(page.locator('h1')).toHaveText(SCRIPT)
  await photograph(page, 'daemon/hostile-survey')
  expect(await pwned()).toEqual([false])
})

/** Sixteen by sixteen blue pixels. */
function picture(): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(named))
    return Buffer.concat([length, named, sum])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(16, 0)
  header.writeUInt32BE(16, 4)
  header.set([8, 2], 8)
  const rows = Buffer.alloc(16 * 49)
  for (let at = 0; at < rows.length; at++) if (at % 49 > 0 && (at % 49) % 3 === 0) rows[at] = 200
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function crc32(data: Buffer): number {
  let sum = ~0
  for (const byte of data) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0)
  }
  return ~sum >>> 0
}
