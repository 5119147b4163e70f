/** What the server refuses: unknown visitors, files, floods, conversations that are no more; nothing that was typed is lost. */
import { expect, openWidget, returnAs, test } from './fixture'
import { BOB, from, hmac, now } from './server/data'

interface SitePage {
  $chatwoot: { setUser(id: string, user: object): void; user: unknown }
}

const posted = ({ method, path }: { method: string; path: string }) =>
  method === 'POST' && (path === 'messages' || path === 'conversations')

test('a visitor whom the server has forgotten goes on as a new one, with what was typed', async ({
  page,
  site,
  server,
  expected,
}) => {
  expected.push(/401/)
  const { visitor } = server.returning([{ ...from(BOB), content: 'Hello!' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  await expect.poll(() => server.cable.listeners(visitor)).toBe(1)
  server.data.visitors = []
  await frame.getByRole('textbox').fill('Do you still know me?')
  await frame.getByRole('textbox').press('Enter')
  await frame.getByRole('textbox').fill('And one more thing')
  await expect(frame.getByRole('status').getByText('can no longer be shown here')).toBeVisible()
  await expect(frame.getByText('Sent', { exact: true })).toBeVisible()
  await expect(frame.getByRole('textbox')).toHaveValue('And one more thing')
  await frame.getByRole('textbox').press('Enter')
  await expect.poll(() => server.visitor.conversations[0]?.messages.length).toBe(2)
  expect(server.data.visitors).toHaveLength(1)
  expect(server.visitor.conversations[0]!.messages.map(({ content }) => content)).toEqual([
    'Do you still know me?',
    'And one more thing',
  ])
  const cookies = await page.context().cookies(site.url)
  expect(cookies.find(({ name }) => name === 'cw_conversation')?.value).toBe(server.visitor.token)
  await expect.poll(() => server.cable.listeners(server.visitor)).toBe(1)
  server.say(server.visitor.conversations[0]!, { ...from(BOB), content: 'Now I do.' })
  await expect(frame.getByText('Now I do.')).toBeVisible()
})

test('only one new visitor is made, however often the server refuses', async ({ page, site, server, expected }) => {
  expected.push(/401/)
  const { visitor } = server.returning([{ ...from(BOB), content: 'Hello!' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  await expect.poll(() => server.cable.listeners(visitor)).toBe(1)
  server.data.visitors = []
  await frame.getByRole('textbox').fill('First')
  await frame.getByRole('textbox').press('Enter')
  await expect.poll(() => server.data.visitors[0]?.conversations.length).toBe(1)
  await expect(frame.getByText('Sent', { exact: true })).toBeVisible()
  server.data.visitors = []
  await frame.getByRole('textbox').fill('Second')
  await frame.getByRole('textbox').press('Enter')
  await expect(frame.getByText('Not sent: Invalid token')).toBeVisible()
  await expect(frame.getByRole('log').getByText('Second')).toBeVisible()
  expect(server.api.calls.filter(({ path }) => path === 'config')).toHaveLength(1)
})

test('a user of the website is known again at once', async ({ page, site, server, expected }) => {
  expected.push(/401/)
  const fields = { name: 'Ada', identifier_hash: hmac('ada') }
  const { visitor: ada } = server.returning([{ ...from(BOB), content: 'Hello Ada' }], {
    identifier: 'ada',
    name: 'Ada',
  })
  const frame = await openWidget(page, site)
  await expect.poll(() => server.visitor !== ada && server.cable.listeners(server.visitor)).toBe(1)
  await page.evaluate((user) => (window as unknown as SitePage).$chatwoot.setUser('ada', user), fields)
  await expect.poll(() => server.cable.listeners(ada)).toBe(1)
  await frame.getByRole('button', { name: /Hello Ada/ }).click()
  ada.token = 'header.renewed.signature'
  await frame.getByRole('textbox').fill('Me again')
  await frame.getByRole('textbox').press('Enter')
  await expect.poll(() => ada.conversations[0]!.messages.map(({ content }) => content)).toEqual(['Me again'])
  const calls = server.api.calls.filter(({ path }) => path === 'contact/set_user')
  expect(calls.map(({ body }) => body['identifier'])).toEqual(['ada', 'ada'])
  const cookies = await page.context().cookies(site.url)
  expect(cookies.find(({ name }) => name === 'cw_conversation')?.value).toBe(ada.token)
})

test('a user who is refused is nobody to the website either', async ({ page, site, server, expected }) => {
  expected.push(/401/)
  await openWidget(page, site)
  const user = () => page.evaluate(() => (window as unknown as SitePage).$chatwoot.user ?? null)
  await page.evaluate(() =>
    (window as unknown as SitePage).$chatwoot.setUser('ada', { name: 'A', identifier_hash: '0' }),
  )
  await expect.poll(user).toBeNull()
  expect(server.data.visitors).toHaveLength(1)
  expect(server.visitor.contact['name']).toBeUndefined()
  expect(server.api.calls.filter(({ path }) => path === 'config')).toHaveLength(0)
})

test('a file that is refused stays, with what the server says of it', async ({ page, site, server, expected }) => {
  expected.push(/413|415|422/)
  const { visitor, conversation } = server.returning([{ ...from(BOB), content: 'Hello!' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  for (const [status, body] of [
    [413, { error: 'a.pdf: at most 40 MB' }],
    [415, { message: 'a.pdf: this type is not taken' }],
    [422, { errors: ['a.pdf: this file is empty'] }],
  ] as const) {
    server.api.overrides.push({ method: 'POST', path: 'messages', answer: { status, body }, carriesOut: false })
    if (status === 413) {
      const pdf = { name: 'a.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(100, 1) }
      await frame.locator('input[type=file]').setInputFiles([pdf])
      await frame.getByRole('button', { name: 'Send', exact: true }).click()
    } else await frame.getByRole('button', { name: 'Try again' }).click()
    await expect(frame.getByText(`Not sent: ${Object.values(body)[0]}`)).toBeVisible()
  }
  await frame.getByRole('button', { name: 'Try again' }).click()
  await expect(frame.getByText('Sent', { exact: true })).toBeVisible()
  expect(conversation.messages.at(-1)!.attachments).toMatchObject([{ file_size: 100 }])
})

test('after 429 nothing is tried before the time that the server names; a long time is told', async ({
  page,
  site,
  server,
  expected,
}) => {
  expected.push(/429/)
  const { visitor, conversation } = server.returning([{ ...from(BOB), content: 'Hello!' }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  const answer = { status: 429, body: { error: 'Too many requests' } }
  const refuse = (retryAfter: number) =>
    server.api.overrides.push({
      method: 'POST',
      path: 'messages',
      answer: { ...answer, retryAfter },
      carriesOut: false,
    })
  refuse(3)
  const begun = Date.now()
  for (const text of ['one', 'two']) {
    await frame.getByRole('textbox').fill(text)
    await frame.getByRole('textbox').press('Enter')
  }
  await expect.poll(() => conversation.messages.length).toBe(3)
  expect(Date.now() - begun).toBeGreaterThan(2_900)
  expect(server.api.calls.filter(posted)).toHaveLength(3)
  expect(conversation.messages.map(({ content }) => content)).toEqual(['Hello!', 'one', 'two'])
  refuse(3_600)
  await frame.getByRole('textbox').fill('three')
  await frame.getByRole('textbox').press('Enter')
  await expect(frame.getByText('Not sent: Too many requests')).toBeVisible()
})

test('what was meant for a conversation that is no more begins another', async ({ page, site, server, expected }) => {
  expected.push(/404/)
  const { visitor } = server.returning([{ ...from(BOB), content: 'Hello!', created_at: now() - 60 }])
  await returnAs(page, site, visitor.token)
  const frame = await openWidget(page, site)
  await frame.getByText('Hello!').click()
  await expect(frame.getByRole('textbox')).toBeVisible()
  visitor.conversations = []
  await frame.getByRole('textbox').fill('Are you there?')
  await frame.getByRole('textbox').press('Enter')
  await expect(frame.getByText('Not sent: Resource could not be found')).toBeVisible()
  await frame.getByRole('button', { name: 'Try again' }).click()
  await expect.poll(() => visitor.conversations[0]?.messages.map(({ content }) => content)).toEqual(['Are you there?'])
  await expect(frame.getByText('Sent', { exact: true })).toBeVisible()
})
