/** What the page's own tests have: the stand-in server, and a website on another origin. */
import { test as base } from './browser'
import { HostSite } from './server/host'
import { StandIn } from './server/stand_in'

export { examine, expect, openWidget, returnAs, widget } from './browser'

interface Fixtures {
  server: StandIn
  site: HostSite
}

export const test = base.extend<Fixtures>({
  server: async ({}, use) => {
    const server = new StandIn()
    await server.start()
    await use(server)
    server.stop()
  },
  site: async ({ server }, use) => {
    const site = new HostSite(server.url)
    await site.start()
    await use(site)
    site.stop()
  },
})
