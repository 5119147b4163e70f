/**
 * A website of somebody else, on another origin, that carries the widget: unless told otherwise in the way of the page's
 * own tests, under as strict a policy as a site can have.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export class HostSite {
  readonly #server: Server
  /** JSON of `window.chatwootSettings`, and more script to run before the snippet. */
  settings: Record<string, unknown> = {}
  script = ''
  snippet: string
  /** How often the snippet stands on the page. */
  snippets = 1
  /** Empty for a site that has none. */
  policy: string

  constructor(serverUrl: string) {
    this.snippet = trustedSnippet(serverUrl)
    this.policy = `default-src 'none'; script-src 'nonce-host' ${serverUrl}; frame-src ${serverUrl}; style-src 'nonce-host'; require-trusted-types-for 'script'`
    this.#server = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      if (this.policy) response.setHeader('Content-Security-Policy', this.policy)
      response.end(this.#page())
    })
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, 'localhost', resolve))
  }

  /** By name, so that it is another site than the server, which is known by number. */
  get url(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`
  }

  stop(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #page(): string {
    return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>A website</title>
      <style nonce="host">body{font:16px/1.6 system-ui;margin:0;color:#222;background:#fbfaf8}main{max-width:640px;margin:64px auto;padding:0 24px}h1{font-size:40px;line-height:1.1}button{background:red!important;font-size:8px}</style></head>
      <body><main><h1>Paper for people who write</h1><p>Notebooks, envelopes and pens, made in small series. Free shipping from 40 €.</p></main>
      <script nonce="host">window.chatwootSettings=${JSON.stringify(this.settings)};window.heard=[];
      ['ready','opened','closed','on-message','on-start-conversation','postback','error'].forEach(function(n){window.addEventListener('chatwoot:'+n,function(e){window.heard.push([n,e.detail])})});${this.script}</script>
      ${this.snippet.repeat(this.snippets)}</body></html>`
  }
}

/** The snippet of a site with trusted types, which has to vouch for the address. */
function trustedSnippet(serverUrl: string): string {
  return `<script nonce="host">(function(d,t){var BASE_URL=${JSON.stringify(serverUrl)};var g=d.createElement(t),s=d.getElementsByTagName(t)[0];
      var policy=window.trustedTypes?(window.hostPolicy=window.hostPolicy||trustedTypes.createPolicy('host',{createScriptURL:function(u){return u}})):null;
      g.src=policy?policy.createScriptURL(BASE_URL+"/packs/js/sdk.js"):BASE_URL+"/packs/js/sdk.js";g.defer=true;g.async=true;s.parentNode.insertBefore(g,s);
      g.onload=function(){window.chatwootSDK.run({websiteToken:'website-token',baseUrl:BASE_URL})}})(document,"script");</script>`
}
