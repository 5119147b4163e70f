/** Who the visitor is: what the form before a conversation asks, and what a website's own sign-in knows. */
import { createHmac } from 'node:crypto'
import type { BrowserContext, Page } from '@playwright/test'
import type { HostSite } from '../tests/server/host'
import { examine, expect, openWidget, photograph, say, test, widget } from './fixture'

test('the form before a conversation is held to its rules, and what it says reaches contact and conversation', async ({
  page,
  newInbox,
  newSite,
  team,
  bob,
}) => {
  const key = `customer_number_${Date.now()}`
  await team.admin.post('/custom_attribute_definitions', {
    attribute_display_name: 'Customer number',
    attribute_key: key,
    attribute_display_type: 'text',
    attribute_model: 'contact_attribute',
  })
  const field = (name: string, type: string, label: string, required: boolean, more: object = {}) => ({
    ...{ name, type, label, required, enabled: true, field_type: 'standard', placeholder: '' },
    ...more,
  })
  const inbox = await newInbox({
    pre_chat_form_enabled: true,
    pre_chat_form_options: {
      pre_chat_message: 'We answer faster if we know **who you are**.',
      pre_chat_fields: [
        field('emailAddress', 'email', 'Email Id', true),
        field('fullName', 'text', 'Full name', true),
        field('phoneNumber', 'text', 'Phone number', false),
        field(key, 'text', 'Customer number', false, {
          field_type: 'contact_attribute',
          regex_pattern: '^K\\d+$',
          regex_cue: 'It begins with a K.',
        }),
      ],
    },
  })
  const site = await newSite(inbox)
  const frame = await openWidget(page, site)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await expect(frame.locator('strong', { hasText: 'who you are' })).toBeVisible()
  await frame.getByLabel('E-mail address').fill('ada')
  await frame.getByLabel('Phone number').fill('12345')
  await frame.getByLabel('Customer number').fill('17')
  await frame.getByLabel('How can we help?').fill('Hello there')
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await expect(frame.getByText('It begins with a K.')).toBeVisible()
  await expect(frame.getByText('Please enter an e-mail address')).toBeVisible()
  await expect(frame.getByText('Please enter the number with its country code')).toBeVisible()
  await expect(frame.getByText('Please fill in this field.')).toBeVisible()
  await examine(page, 'daemon/pre-chat-mistakes')
  expect(await bob.conversations(inbox)).toEqual([])

  const email = `ada.${Date.now()}@example.com`
  const number = `+49151${String(Date.now()).slice(-8)}`
  await frame.getByLabel('E-mail address').fill(email)
  await frame.getByLabel('Name', { exact: true }).fill('Ada Lovelace')
  await frame.getByLabel('Phone number').fill(number)
  await frame.getByLabel('Customer number').fill('K17')
  await photograph(page, 'daemon/pre-chat')
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await expect(frame.getByRole('log').getByText('Hello there')).toBeVisible()
  await expect(frame.getByText('Sent')).toBeVisible()
  const { id, meta } = await bob.conversation(inbox)
  expect(await bob.written(id)).toEqual(['Hello there'])
  const { payload } = await bob.contact(meta.sender.id)
  expect(payload).toMatchObject({ name: 'Ada Lovelace', email, phone_number: number })
  expect(payload.custom_attributes).toMatchObject({ [key]: 'K17' })

  // What is known is not asked again.
  await page.reload()
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  await frame.getByRole('button', { name: 'Start a new conversation' }).click()
  await expect(frame.getByLabel('Customer number')).toBeVisible()
  for (const known of ['E-mail address', 'Name', 'Phone number']) {
    await expect(frame.getByLabel(known, { exact: true })).toHaveCount(0)
  }
})

test('whoever left no address is asked for one, and the answer is the contact’s', async ({
  page,
  newInbox,
  newSite,
  bob,
}) => {
  const inbox = await newInbox({}, { enable_email_collect: true })
  const frame = await openWidget(page, await newSite(inbox))
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'Do you deliver to Norway?')
  const email = `grace.${Date.now()}@example.com`
  await frame.getByLabel('E-mail address for our answer').fill(email)
  await examine(page, 'daemon/email-question')
  await frame.getByRole('button', { name: 'Submit' }).click()
  await expect(frame.getByText(email)).toBeVisible()
  const { meta } = await bob.conversation(inbox)
  expect((await bob.contact(meta.sender.id)).payload.email).toBe(email)
})

interface SitePage {
  $chatwoot: Record<string, (...values: unknown[]) => void>
  heard: [string, { status?: number; errorType?: string }][]
}

const setUser = (page: Page, identifier: string, fields: Record<string, string>) =>
  page.evaluate(([id, user]) => (window as unknown as SitePage).$chatwoot['setUser']!(id, user), [
    identifier,
    fields,
  ] as const)

async function ready(page: Page, site: HostSite): Promise<void> {
  await page.goto(site.url)
  await page.waitForFunction(() => (window as unknown as SitePage).heard.some(([name]) => name === 'ready'))
}

const cookie = async (context: BrowserContext, site: HostSite) =>
  (await context.cookies(site.url)).find(({ name }) => name === 'cw_conversation')?.value

test('a person whom the website vouches for goes on at another device; a wrong hash changes nothing; reset forgets', async ({
  page,
  context,
  browser,
  expected,
  newInbox,
  newSite,
  bob,
}) => {
  expected.push(/401/)
  const inbox = await newInbox({ hmac_mandatory: true })
  const site = await newSite(inbox)
  const identifier = `ada-${Date.now()}`
  const identifier_hash = createHmac('sha256', inbox.hmac_token).update(identifier).digest('hex')
  const ada = { name: 'Ada Lovelace', email: `${identifier}@example.com`, identifier_hash }

  await ready(page, site)
  await setUser(page, identifier, ada)
  await page.locator('.woot-widget-bubble:not(.woot--close)').click()
  const frame = widget(page)
  await frame.getByRole('button', { name: 'Start a conversation' }).click()
  await say(frame, 'I wrote this at home')
  await expect(frame.getByText('Sent')).toBeVisible()
  const { id, meta } = await bob.conversation(inbox)
  expect(meta.sender).toMatchObject({ identifier, name: 'Ada Lovelace', email: ada.email })

  const device = await browser.newContext()
  const other = await device.newPage()
  await ready(other, site)
  const stranger = await cookie(device, site)
  await setUser(other, identifier, { ...ada, name: 'Mallory', identifier_hash: '0'.repeat(64) })
  await other.waitForFunction(() => (window as unknown as SitePage).heard.some(([name]) => name === 'error'))
  const heard = await other.evaluate(() => (window as unknown as SitePage).heard)
  expect(heard.find(([name]) => name === 'error')![1]).toMatchObject({ errorType: 'SET_USER_ERROR', status: 401 })
  expect(await cookie(device, site)).toBe(stranger)
  expect((await bob.contact(meta.sender.id)).payload.name).toBe('Ada Lovelace')
  await other.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(widget(other).getByRole('button', { name: 'Start a conversation' })).toBeVisible()
  await expect(widget(other).getByText('I wrote this at home')).toHaveCount(0)
  await photograph(other, 'daemon/identity-wrong')

  await setUser(other, identifier, ada)
  await widget(other).getByText('I wrote this at home').click()
  await expect(widget(other).getByRole('log').getByText('I wrote this at home')).toBeVisible()
  await bob.say(id, 'I see you at both')
  await expect(widget(other).getByText('I see you at both')).toBeVisible()
  await expect(frame.getByText('I see you at both')).toBeVisible()
  await say(widget(other), 'And this on the train')
  await expect.poll(() => bob.written(id)).toEqual(['I wrote this at home', 'And this on the train'])
  await expect(frame.getByText('And this on the train')).toBeVisible()
  await examine(other, 'daemon/identity-other-device')

  const known = await cookie(device, site)
  await other.evaluate(() => (window as unknown as SitePage).$chatwoot['reset']!())
  await expect.poll(() => cookie(device, site)).not.toBe(known)
  await expect.poll(() => cookie(device, site)).toBeTruthy()
  await other.locator('.woot-widget-bubble:not(.woot--close)').click()
  await expect(widget(other).getByRole('button', { name: 'Start a conversation' })).toBeVisible()
  await expect(widget(other).getByText('at both')).toHaveCount(0)
  await photograph(other, 'daemon/identity-reset')
  await device.close()
  expect(await cookie(context, site)).toBeTruthy()
})
