/**
 * What the tests against the real daemon have: one daemon for each worker, an inbox of its own for each test, a website on
 * another origin that carries its snippet, and Bob, an agent of it who is there.
 */
import type { FrameLocator } from '@playwright/test'
import { test as base } from '../tests/browser'
import { HostSite } from '../tests/server/host'
import { Agent, type Cable, type Inbox } from './agent'
import { Daemon } from './daemon'
import { Network } from './network'
import { snippet } from './snippet'

export { examine, expect, openWidget, photograph, widget } from '../tests/browser'

/** The visitor writes something and sends it. */
export async function say(frame: FrameLocator, text: string): Promise<void> {
  const field = frame.getByRole('textbox', { name: 'Message' })
  await field.fill(text)
  await field.press('Enter')
}

const BOB = { name: 'Bob Tanaka', email: 'bob@example.com', role: 'agent', password: 'Agent-pass-1' }

/** The fields of a website's channel. */
export type Website = Record<string, unknown>

interface Team {
  admin: Agent
  bob: Agent
  bobId: number
}

interface Fixtures {
  bob: Agent
  /** What Bob hears. */
  cable: Cable
  /** A new inbox for a website, of which Bob is a member. */
  newInbox: (channel?: Website, fields?: object) => Promise<Inbox>
  /** A website that carries the snippet of an inbox, as from the daemon or from whatever stands before it. */
  newSite: (inbox: Inbox, url?: string) => Promise<HostSite>
  network: Network
}

export const test = base.extend<Fixtures, { daemon: Daemon; team: Team }>({
  daemon: [
    async ({}, use, { workerIndex }) => {
      const daemon = await Daemon.start(`daemon-${workerIndex}`)
      await use(daemon)
      await daemon.stop()
    },
    { scope: 'worker' },
  ],
  team: [
    async ({ daemon }, use) => {
      const admin = new Agent(daemon.url, daemon.token)
      const { id } = await admin.post<{ id: number }>('/agents', BOB)
      const { email, password } = BOB
      const signedIn = await fetch(`${daemon.url}/auth/sign_in`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ email, password }),
      })
      const { data } = (await signedIn.json()) as { data: { access_token: string } }
      await use({ admin, bob: new Agent(daemon.url, data.access_token), bobId: id })
    },
    { scope: 'worker' },
  ],
  bob: async ({ team }, use) => use(team.bob),
  cable: async ({ bob }, use) => {
    const cable = await bob.listen()
    await use(cable)
    cable.close()
  },
  newInbox: async ({ team }, use) => {
    await use(async (channel = {}, fields = {}) => {
      const inbox = await team.admin.post<Inbox>('/inboxes', {
        name: 'Paperclip & Co',
        enable_email_collect: false,
        ...fields,
        channel: {
          type: 'web_widget',
          website_url: 'https://shop.example',
          welcome_title: 'Hello, how can we help?',
          welcome_tagline: 'Orders, returns, or just a question: write to us.',
          ...channel,
        },
      })
      await team.admin.post('/inbox_members', { inbox_id: inbox.id, user_ids: [team.bobId] })
      return inbox
    })
  },
  newSite: async ({ daemon }, use) => {
    const sites: HostSite[] = []
    await use(async (inbox, url = daemon.url) => {
      const site = new HostSite(url)
      site.policy = ''
      site.snippet = snippet(url, inbox.website_token)
      sites.push(site)
      await site.start()
      return site
    })
    for (const site of sites) site.stop()
  },
  network: async ({ daemon }, use) => {
    const network = new Network(daemon.url)
    await network.start()
    await use(network)
    network.stop()
  },
})
