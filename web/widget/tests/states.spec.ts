/** Every state of the widget: seen by axe, in light and dark, and kept as a picture. */
import { examine, expect, openWidget, returnAs, test, widget } from './fixture'
import { ALICE, BOB, from, now } from './server/data'

const MARKDOWN = `Of course. **Here is how** it works:

1. Open [your orders](https://shop.example/orders)
2. Choose *Return* and print the label

> Parcels need a few days.

Use \`RETURN10\` for your next order.`

const conversation = () => [
  { content: 'Hi, can I return a notebook that I bought last week?', created_at: now() - 90_000 },
  { ...from(ALICE), content: 'Hello! Let me look that up for you.', created_at: now() - 89_900 },
  { ...from(ALICE), content: MARKDOWN, created_at: now() - 89_880 },
  { content: 'Great, thank you 🙏', created_at: now() - 600 },
  { content: 'And does that cost anything?', created_at: now() - 580 },
  { ...from(BOB), content: 'No, returns are free.', created_at: now() - 300 },
]

for (const darkMode of ['light', 'dark']) {
  test.describe(darkMode, () => {
    test.beforeEach(({ site }) => {
      site.settings = { darkMode }
    })

    test('home of a new visitor, and an empty conversation', async ({ page, site }) => {
      const frame = await openWidget(page, site)
      await expect(frame.getByText('We are online')).toBeVisible()
      await examine(page, `home-new-${darkMode}`)
      await frame.getByRole('button', { name: 'Start a conversation' }).click()
      await expect(frame.getByRole('textbox')).toBeFocused()
      await examine(page, `chat-empty-${darkMode}`)
    })

    test('home of a returning visitor, the list, and a conversation', async ({ page, site, server }) => {
      const { visitor, conversation: first } = server.returning(conversation())
      const other = server.data.newConversation(visitor)
      server.data.newMessage(other, { content: 'Do you ship to Norway?', created_at: now() - 2 * 86_400 })
      server.data.newMessage(other, { ...from(BOB), content: 'Yes, we do.', created_at: now() - 2 * 86_400 + 60 })
      other.status = 'resolved'
      other.seenId = other.messages.at(-1)!.id
      first.agent_last_seen_at = now()
      await returnAs(page, site, visitor.token)
      const frame = await openWidget(page, site)
      await expect(frame.getByText('No, returns are free.')).toBeVisible()
      await examine(page, `home-returning-${darkMode}`)
      await frame.getByRole('button', { name: 'See all conversations' }).click()
      await expect(frame.getByText('Resolved')).toBeVisible()
      await examine(page, `conversations-${darkMode}`)
      await frame.getByText('No, returns are free.').click()
      await expect(frame.getByRole('log')).toContainText('does that cost anything')
      server.cable.push(visitor, 'conversation.typing_on', {
        conversation: { id: first.id },
        user: BOB,
        is_private: false,
      })
      await expect(frame.getByText('Bob is typing')).toBeAttached()
      await examine(page, `chat-${darkMode}`)
      await frame.getByRole('button', { name: 'More options' }).click()
      await examine(page, `chat-menu-${darkMode}`)
      await frame.getByRole('button', { name: 'End conversation' }).click()
      await examine(page, `chat-end-${darkMode}`)
      await frame.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
      await frame.getByRole('button', { name: 'Emoji' }).click()
      await expect(frame.getByRole('dialog', { name: 'Emoji' })).toBeVisible()
      await examine(page, `chat-emoji-${darkMode}`)
    })

    test('files, a reply, mistakes, and a message that was refused', async ({ page, site, server, expected }) => {
      expected.push(/422/)
      const { visitor, conversation: first } = server.returning(conversation())
      server.data.newMessage(first, {
        ...from(ALICE),
        content: 'This is what it looks like.',
        attachments: [
          { id: 1, file_type: 'image', data_url: '/files/photo.svg', thumb_url: '/files/photo.svg', file_size: 48_000 },
          {
            id: 2,
            file_type: 'file',
            data_url: '/files/Return%20label%20with%20a%20long%20name.pdf',
            file_size: 1_240_000,
          },
        ],
      })
      await returnAs(page, site, visitor.token)
      const frame = await openWidget(page, site)
      await frame.getByText('This is what it looks like.').click()
      await expect(frame.getByText('Return label').first()).toBeVisible()
      await examine(page, `chat-files-${darkMode}`)
      server.api.overrides.push({
        method: 'POST',
        path: 'messages',
        answer: { status: 422, body: { error: 'Too many messages' } },
        carriesOut: false,
      })
      await frame.getByRole('textbox').fill('Is anybody there?')
      await frame.getByRole('textbox').press('Enter')
      await expect(frame.getByText('Not sent: Too many messages')).toBeVisible()
      await frame.getByRole('button', { name: 'Reply: No, returns are free.' }).click()
      await frame.locator('input[type=file]').setInputFiles([
        { name: 'receipt.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(20_000, 1) },
        { name: 'tool.exe', mimeType: 'application/x-msdownload', buffer: Buffer.alloc(10, 1) },
      ])
      await expect(frame.getByRole('alert')).toContainText('tool.exe')
      await examine(page, `chat-composing-${darkMode}`)
    })

    test('forms, choices, cards, articles, an e-mail question, and the survey', async ({ page, site, server }) => {
      const { visitor, conversation: first } = server.returning([
        {
          ...from(ALICE),
          content: 'Which one is it about?',
          content_type: 'input_select',
          content_attributes: {
            items: [
              { title: 'Notebooks', value: 'notebooks' },
              { title: 'Envelopes and paper', value: 'paper' },
              { title: 'Pens', value: 'pens' },
            ],
          },
        },
        {
          ...from(ALICE),
          content: 'We have these.',
          content_type: 'cards',
          content_attributes: {
            items: [
              {
                title: 'Notebook A5',
                description: '96 pages, dotted',
                media_url: `${server.url}/files/photo.svg`,
                actions: [
                  { type: 'link', text: 'Look at it', uri: 'https://shop.example/a5' },
                  { type: 'postback', text: 'Order one', payload: 'ORDER_A5' },
                ],
              },
            ],
          },
        },
        {
          ...from(ALICE),
          content: 'This may help.',
          content_type: 'article',
          content_attributes: {
            items: [
              {
                title: 'How to return something',
                description: 'Within 30 days',
                link: 'https://shop.example/help/returns',
              },
            ],
          },
        },
        {
          ...from(ALICE),
          content: 'Please tell us more.',
          content_type: 'form',
          content_attributes: {
            items: [
              {
                type: 'text',
                name: 'order',
                label: 'Order number',
                placeholder: 'A-1234',
                required: true,
                pattern: '^A-\\d+$',
                pattern_error: 'An order number looks like A-1234.',
              },
              {
                type: 'select',
                name: 'reason',
                label: 'Reason',
                options: [
                  { label: 'Too small', value: 'small' },
                  { label: 'Other', value: 'other' },
                ],
              },
              { type: 'text_area', name: 'words', label: 'Anything else?' },
            ],
          },
        },
        { message_type: 3, content: 'Get notified by email', content_type: 'input_email' },
        {
          message_type: 3,
          content: 'Please rate the conversation',
          content_type: 'input_csat',
          content_attributes: { display_type: 'emoji' },
        },
      ])
      await returnAs(page, site, visitor.token)
      const frame = await openWidget(page, site)
      await frame.getByText('Please rate the conversation').click()
      const log = frame.getByRole('log')
      await expect(frame.getByRole('group', { name: 'How would you rate this conversation?' })).toBeVisible()
      await examine(page, `rich-survey-${darkMode}`)
      await frame.getByRole('button', { name: 'Submit' }).first().click()
      await expect(frame.getByLabel('Order number')).toBeFocused()
      await examine(page, `rich-form-mistakes-${darkMode}`)
      await log.evaluate((node) => (node.scrollTop = 0))
      await examine(page, `rich-choices-${darkMode}`)
      await frame.getByRole('button', { name: 'Envelopes and paper' }).click()
      await expect(frame.getByText('Chosen: Envelopes and paper')).toBeVisible()
      await frame.getByLabel('Order number').fill('A-77')
      await frame.getByLabel('Reason').selectOption('small')
      await frame.getByRole('button', { name: 'Submit' }).first().click()
      await expect(frame.getByText('Thank you, we have your answer.')).toBeVisible()
      await frame.getByLabel('E-mail address for our answer').fill('ada@example.com')
      await frame.getByRole('button', { name: 'Submit' }).click()
      await expect(frame.getByText('ada@example.com')).toBeVisible()
      await frame.getByRole('radio', { name: 'Very good' }).check({ force: true })
      await frame.getByLabel('Would you like to tell us more?').fill('Quick and friendly.')
      await examine(page, `rich-answered-${darkMode}`)
      await frame.getByRole('button', { name: 'Send feedback' }).click()
      await expect(frame.getByText('Thank you for your rating.')).toBeVisible()
      const values = Object.fromEntries(
        first.messages.map((m) => [m.content_type, m.content_attributes['submitted_values']]),
      )
      expect(values['input_select']).toEqual([{ title: 'Envelopes and paper', value: 'paper' }])
      expect(values['form']).toEqual([
        { name: 'order', title: 'Order number', value: 'A-77' },
        { name: 'reason', title: 'Reason', value: 'small' },
        { name: 'words', title: 'Anything else?', value: '' },
      ])
      expect(values['input_csat']).toEqual({
        csat_survey_response: { rating: 5, feedback_message: 'Quick and friendly.' },
      })
      expect(visitor.contact['email']).toBe('ada@example.com')
      await frame.getByRole('button', { name: 'Order one' }).click()
      await expect
        .poll(() => page.evaluate(() => (window as unknown as { heard: unknown[] }).heard))
        .toContainEqual(['postback', { payload: 'ORDER_A5' }])
    })

    test('the form before a conversation', async ({ page, site, server }) => {
      server.data.channel['preChatFormEnabled'] = true
      server.data.channel['preChatFormOptions'] = {
        pre_chat_message: 'We answer faster if we know **who you are**.',
        pre_chat_fields: [
          {
            name: 'emailAddress',
            type: 'email',
            field_type: 'standard',
            label: 'Email Id',
            required: true,
            enabled: true,
          },
          {
            name: 'fullName',
            type: 'text',
            field_type: 'standard',
            label: 'Full name',
            required: false,
            enabled: true,
          },
          {
            name: 'phoneNumber',
            type: 'text',
            field_type: 'standard',
            label: 'Phone number',
            required: false,
            enabled: true,
          },
          {
            name: 'plan',
            type: 'list',
            field_type: 'conversation_attribute',
            label: 'Your plan',
            required: true,
            enabled: true,
            values: ['Free', 'Pro'],
          },
          {
            name: 'customer_number',
            type: 'text',
            field_type: 'contact_attribute',
            label: 'Customer number',
            required: false,
            enabled: true,
            regex_pattern: '^K\\d+$',
            regex_cue: 'It begins with a K.',
          },
          {
            name: 'newsletter',
            type: 'checkbox',
            field_type: 'contact_attribute',
            label: 'Send me news',
            required: false,
            enabled: true,
          },
        ],
      }
      const frame = await openWidget(page, site)
      await frame.getByRole('button', { name: 'Start a conversation' }).click()
      await expect(frame.getByLabel('E-mail address')).toBeVisible()
      await examine(page, `pre-chat-${darkMode}`)
      await frame.getByLabel('Phone number').fill('12345')
      await frame.getByLabel('Customer number').fill('X1')
      await frame.getByRole('button', { name: 'Start a conversation' }).click()
      await expect(frame.getByText('It begins with a K.')).toBeVisible()
      await expect(frame.getByLabel('E-mail address')).toBeFocused()
      await examine(page, `pre-chat-mistakes-${darkMode}`)
      await frame.getByLabel('E-mail address').fill('ada@example.com')
      await frame.getByLabel('Phone number').fill('+49 (151) 234-567')
      await frame.getByLabel('Customer number').fill('K17')
      await frame.getByLabel('Your plan').selectOption('Pro')
      await frame.getByLabel('Send me news').check()
      await frame.getByLabel('How can we help?').fill('Hello there')
      await frame.getByRole('button', { name: 'Start a conversation' }).click()
      await expect(frame.getByRole('log')).toContainText('Hello there')
      await expect.poll(() => server.visitor.conversations.length).toBe(1)
      expect(server.visitor.contact).toMatchObject({
        email: 'ada@example.com',
        phone_number: '+49151234567',
        custom_attributes: { customer_number: 'K17', newsletter: true },
      })
      expect(server.visitor.conversations[0]).toMatchObject({
        custom_attributes: { plan: 'Pro' },
        messages: [{ content: 'Hello there' }],
      })
    })

    test('nobody there, and outside of business hours', async ({ page, site, server }) => {
      server.data.agents = []
      server.data.channel['workingHoursEnabled'] = true
      server.data.channel['workingHours'] = Array.from({ length: 7 }, (_, day) => ({
        day_of_week: day,
        closed_all_day: day !== (new Date().getUTCDay() + 2) % 7,
        open_all_day: false,
        open_hour: 9,
        open_minutes: 0,
        close_hour: 17,
        close_minutes: 0,
      }))
      server.data.channel['outOfOfficeMessage'] =
        'We are at a fair this week. Leave a message, we answer on our return.'
      const frame = await openWidget(page, site)
      await expect(frame.getByText('We are away right now')).toBeVisible()
      await expect(frame.getByText('We are at a fair')).toBeVisible()
      await expect(frame.getByText(/^Back \w+ /)).toBeVisible()
      await examine(page, `home-away-${darkMode}`)
    })

    test('unread messages above the closed bubble', async ({ page, site, server }) => {
      const { visitor, conversation: first } = server.returning(conversation())
      await returnAs(page, site, visitor.token)
      await page.goto(site.url)
      await expect.poll(() => server.cable.listeners(visitor)).toBe(1)
      server.say(first, { ...from(BOB), content: 'The label is in your inbox now.' })
      server.say(first, { ...from(BOB), content: 'Anything else that I can do for you?' })
      await expect(widget(page).getByText('Anything else')).toBeVisible()
      await expect(page.getByRole('button', { name: 'Chat with us, 2 unread messages' })).toBeVisible()
      await examine(page, `unread-${darkMode}`)
      await widget(page).getByText('Anything else').click()
      await expect(widget(page).getByRole('textbox')).toBeVisible()
      await expect(page.getByRole('button', { name: 'Close chat' }).first()).toBeVisible()
      await expect.poll(() => first.seenId).toBe(first.messages.at(-1)!.id)
    })
  })
}
