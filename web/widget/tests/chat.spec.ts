/** Conversations: what is sent arrives exactly once, what is pushed is seen, and what is missed is fetched. */
import { expect, examine, openWidget, returnAs, test, widget } from './fixture'
import { ALICE, BOB, from, now } from './server/data'

const REFUSED = [/ERR_CONNECTION|ERR_EMPTY_RESPONSE|WebSocket connection|Failed to load resource/]

test('what is typed while the server is away is sent once it is back, in order, exactly once', async ({
  page,
  site,
  server,
  expected,
}) => {
  expected.push(...REFUSED)
  const { visitor, conversation } = server.returning([{ ...from(BOB), content: 'Hello!' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  await expect(frame.getByRole('textbox')).toBeVisible()
  server.setDown(true)
  for (const text of ['one', 'two', 'three']) {
    await frame.getByRole('textbox').fill(text)
    await frame.getByRole('textbox').press('Enter')
  }
  await expect(frame.getByText('No connection.')).toBeVisible()
  await expect(frame.getByText('Waiting to be sent')).toHaveCount(3)
  await examine(page, 'chat-offline')
  server.setDown(false)
  await expect(frame.getByText(/Waiting to be sent|Sending/)).toHaveCount(0, { timeout: 60_000 })
  await expect(frame.getByText('No connection.')).toBeHidden()
  await expect.poll(() => conversation.messages.length).toBeGreaterThan(3)
  await expect(frame.getByText('Sending')).toHaveCount(0)
  expect(conversation.messages.map(({ content }) => content)).toEqual(['Hello!', 'one', 'two', 'three'])
  await expect(frame.getByRole('log').getByRole('listitem').filter({ hasText: 'two' })).toHaveCount(1)
})

test('an answer that was lost does not send twice', async ({ page, site, server, expected }) => {
  expected.push(...REFUSED)
  const { visitor, conversation } = server.returning([{ ...from(BOB), content: 'Hello!' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  server.api.overrides.push({ method: 'POST', path: 'messages', answer: { status: 503 }, carriesOut: true })
  await frame.getByRole('textbox').fill('Only once')
  await frame.getByRole('textbox').press('Enter')
  await expect
    .poll(() => server.api.calls.filter(({ method, path }) => method === 'POST' && path === 'messages').length)
    .toBe(2)
  const tries = server.api.calls.filter(({ method, path }) => method === 'POST' && path === 'messages')
  expect(tries[0]!.key).toBeTruthy()
  expect(tries.map(({ key, body }) => [key, body['message'].echo_id])).toEqual([
    [tries[0]!.key, tries[0]!.key],
    [tries[0]!.key, tries[0]!.key],
  ])
  await expect(frame.getByText('Sent')).toBeVisible()
  expect(conversation.messages.filter(({ content }) => content === 'Only once')).toHaveLength(1)
  await expect(frame.getByText('Only once')).toHaveCount(1)
})

test('a new conversation that begins while the server is away, and a reload in between', async ({
  page,
  server,
  expected,
}) => {
  expected.push(...REFUSED)
  // In a window of its own: in frames of other sites a browser may forbid storage, and then a reload loses what waits.
  const visitor = server.data.newVisitor()
  await page.goto(`${server.url}/widget?website_token=website-token&cw_conversation=${visitor.token}`)
  await page.getByRole('button', { name: 'Start a conversation' }).click()
  await expect(page.getByRole('textbox')).toBeVisible()
  server.setDown(true)
  for (const text of ['first', 'second']) {
    await page.getByRole('textbox').fill(text)
    await page.getByRole('textbox').press('Enter')
  }
  await expect(page.getByText('second')).toBeVisible()
  server.setDown(false)
  await page.reload()
  await expect
    .poll(() => visitor.conversations[0]?.messages.map(({ content }) => content), { timeout: 60_000 })
    .toEqual(['first', 'second'])
  expect(visitor.conversations).toHaveLength(1)
})

test('a refusal says why; trying again is a new request', async ({ page, site, server, expected }) => {
  expected.push(/422/)
  const { visitor, conversation } = server.returning([{ ...from(BOB), content: 'Hello!' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  server.api.overrides.push({
    method: 'POST',
    path: 'messages',
    answer: { status: 422, body: { error: 'Too many messages' } },
    carriesOut: false,
  })
  await frame.getByRole('textbox').fill('Again')
  await frame.getByRole('textbox').press('Enter')
  await expect(frame.getByText('Not sent: Too many messages')).toBeVisible()
  await frame.getByRole('button', { name: 'Try again' }).click()
  await expect(frame.getByText('Sent')).toBeVisible()
  expect(conversation.messages.map(({ content }) => content)).toEqual(['Hello!', 'Again'])
})

test('files go with the message, by choosing and by pasting', async ({ page, site, server }) => {
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  const file = (name: string) => ({ name, mimeType: 'application/pdf', buffer: Buffer.alloc(2000, 1) })
  await frame.locator('input[type=file]').setInputFiles([file('a.pdf'), file('b.pdf')])
  await frame.getByRole('button', { name: 'Remove a.pdf' }).click()
  await frame.getByRole('textbox').evaluate((field) => {
    const data = new DataTransfer()
    data.items.add(new File(['x'], 'pasted.png', { type: 'image/png' }))
    field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
  })
  await expect(frame.getByText('pasted.png')).toBeVisible()
  await frame.getByRole('textbox').fill('Here they are')
  await frame.getByRole('button', { name: 'Send' }).click()
  await expect(frame.getByText('Sent')).toBeVisible()
  const [message] = server.visitor.conversations[0]!.messages
  expect(message).toMatchObject({
    content: 'Here they are',
    attachments: [{ file_size: 2000 }, { file_type: 'image' }],
  })
})

test('messages are pushed, read marks come and go, typing is told and shown', async ({ page, site, server }) => {
  const { visitor, conversation } = server.returning([{ content: 'Is anybody there?', created_at: now() - 60 }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Is anybody there?').click()
  await expect(frame.getByText('Sent')).toBeVisible()
  await expect.poll(() => server.cable.listeners(visitor)).toBe(1)
  server.cable.push(visitor, 'conversation.read', { ...conversation, messages: [], agent_last_seen_at: now() })
  await expect(frame.getByText('Read', { exact: true })).toBeVisible()
  server.cable.push(visitor, 'conversation.typing_on', { conversation: { id: conversation.id }, user: ALICE })
  await expect(frame.getByText('Alice is typing')).toBeAttached()
  const pushed = server.say(conversation, { ...from(ALICE), content: 'Yes, **I am**.' })
  await expect(frame.locator('strong', { hasText: 'I am' })).toBeVisible()
  await expect(frame.getByText('Alice is typing')).toHaveCount(0)
  await expect.poll(() => conversation.seenId).toBe(pushed.id)
  await frame.getByRole('textbox').pressSequentially('ok')
  await expect
    .poll(() =>
      server.api.calls
        .filter(({ path }) => path === 'conversations/toggle_typing')
        .map(({ body }) => body['typing_status']),
    )
    .toContain('on')
  const heard = await page.evaluate(() => (window as unknown as { heard: [string, { content: string }][] }).heard)
  expect(heard.find(([name]) => name === 'on-message')?.[1].content).toBe('Yes, **I am**.')
  server.cable.push(visitor, 'message.updated', {
    ...pushed,
    content_attributes: { deleted: true },
    content: 'This message was deleted',
  })
  await expect(frame.getByText('This message was deleted')).toBeVisible()
})

test('what was missed while the socket was down is there once it is back', async ({ page, site, server, expected }) => {
  expected.push(...REFUSED)
  const { visitor, conversation } = server.returning([{ content: 'Good morning' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Good morning').click()
  await expect.poll(() => server.cable.listeners(visitor)).toBe(1)
  server.cable.setDown(true)
  server.say(conversation, { ...from(BOB), content: 'You did not hear this' })
  server.cable.setDown(false)
  await expect(frame.getByText('You did not hear this')).toBeVisible()
})

test('older messages come in above, and what is read stays in place', async ({ page, site, server }) => {
  const many = Array.from({ length: 45 }, (_, at) => ({
    ...(at % 3 ? {} : from(BOB)),
    content: `Message number ${at + 1}`,
    created_at: now() - 3600 + at,
  }))
  const { visitor } = server.returning(many)
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Message number 45').click()
  const log = frame.getByRole('log')
  await expect(log.getByText('Message number 26')).toBeAttached()
  await log.evaluate((node) => (node.scrollTop = 0))
  await frame.getByRole('button', { name: 'Show earlier messages' }).click()
  await expect(log.getByText('Message number 6', { exact: true })).toBeAttached()
  await expect(log.getByText('Message number 26')).toBeInViewport()
  await frame.getByRole('button', { name: 'Show earlier messages' }).click()
  await expect(log.getByText('Message number 1', { exact: true })).toBeAttached()
  await expect(frame.getByRole('button', { name: 'Show earlier messages' })).toHaveCount(0)
  server.say(visitor.conversations[0]!, { ...from(BOB), content: 'Newest' })
  await frame.getByRole('button', { name: '1 new message' }).click()
  await expect(log.getByText('Newest')).toBeInViewport()
})

test('an ended conversation stays readable; where it cannot be taken up, a new one begins', async ({
  page,
  site,
  server,
}) => {
  server.data.channel['allowMessagesAfterResolved'] = false
  const { visitor, conversation } = server.returning([{ content: 'Thank you' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Thank you').click()
  await frame.getByRole('button', { name: 'More options' }).click()
  await frame.getByRole('button', { name: 'End conversation' }).click()
  await frame.getByRole('dialog').getByRole('button', { name: 'End conversation' }).click()
  await expect(frame.getByText('This conversation has ended.')).toBeVisible()
  expect(conversation.status).toBe('resolved')
  await examine(page, 'chat-ended')
  await frame.getByRole('button', { name: 'Start a new conversation' }).click()
  await frame.getByRole('textbox').fill('One more thing')
  await frame.getByRole('textbox').press('Enter')
  await expect.poll(() => visitor.conversations.length).toBe(2)
  expect(visitor.conversations[0]!.messages[0]).toMatchObject({ content: 'One more thing' })
})

test('a transcript is sent to those whose address is known, and that is said', async ({ page, site, server }) => {
  const { visitor } = server.returning([{ content: 'Thank you' }], { email: 'ada@example.com' })
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Thank you').click()
  await frame.getByRole('button', { name: 'More options' }).click()
  await frame.getByRole('button', { name: 'Send me a transcript' }).click()
  await expect(frame.getByRole('status')).toHaveText('The transcript is on its way to your e-mail address.')
  await examine(page, 'chat-announcement')
  expect(server.api.calls.at(-1)).toMatchObject({ method: 'POST', path: 'conversations/transcript' })
})

test('everything by keyboard: emoji, reply, menu', async ({ page, site, server }) => {
  const { visitor, conversation } = server.returning([{ ...from(BOB), content: 'Which colour?' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: /Which colour/ }).press('Enter')
  await frame.getByRole('button', { name: 'Emoji' }).press('Enter')
  await expect(frame.getByRole('button', { name: '😀' })).toBeFocused()
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Escape')
  await expect(frame.getByRole('button', { name: 'Emoji' })).toBeFocused()
  await expect(frame.getByRole('textbox')).toHaveValue('😃')
  await frame.getByRole('button', { name: 'Reply: Which colour?' }).press('Enter')
  await expect(frame.getByText('Replying to Bob')).toBeVisible()
  await page.keyboard.type(' blue')
  await page.keyboard.press('Enter')
  await expect(frame.getByText('Sent')).toBeVisible()
  expect(conversation.messages.at(-1)).toMatchObject({
    content: expect.stringContaining('blue'),
    content_attributes: { in_reply_to: conversation.messages[0]!.id },
  })
  await frame.getByRole('button', { name: 'More options' }).press('Enter')
  await page.keyboard.press('Escape')
  await expect(frame.getByRole('button', { name: 'More options' })).toBeFocused()
  await expect(widget(page).getByRole('log')).toBeVisible()
})

test('what is written stays while the visitor looks elsewhere', async ({ page, site, server }) => {
  const { visitor } = server.returning([{ ...from(BOB), content: 'Which colour?' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: /Which colour/ }).click()
  await frame.getByRole('textbox').fill('Perhaps bl')
  await frame.getByRole('button', { name: 'Back' }).click()
  await frame.getByRole('button', { name: 'Start a new conversation' }).click()
  await expect(frame.getByRole('textbox')).toHaveValue('')
  await frame.getByRole('button', { name: 'Back' }).click()
  await frame.getByRole('button', { name: /Which colour/ }).click()
  await expect(frame.getByRole('textbox')).toHaveValue('Perhaps bl')
  await frame.getByRole('textbox').press('Enter')
  await expect(frame.getByText('Sent', { exact: true })).toBeVisible()
  await expect(frame.getByRole('textbox')).toHaveValue('')
})
