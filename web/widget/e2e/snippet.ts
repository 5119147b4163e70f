/** What an operator pastes into a website, word for word as the manual has it. */
import { createHash } from 'node:crypto'

const MANUAL = `<script> (function(d,t) { var BASE_URL="https://your-konversio-instance.com"; var g=d.createElement(t),s=d.getElementsByTagName(t)[0]; g.src=BASE_URL+"/packs/js/sdk.js"; g.defer = true; g.async = true; s.parentNode.insertBefore(g,s); g.onload=function(){ window.chatwootSDK.run({ websiteToken: 'YOUR_INBOX_TOKEN', baseUrl: BASE_URL }) } })(document,"script"); </script>`

/** The manual's snippet, with nothing changed but address and token. */
export function snippet(url: string, websiteToken: string): string {
  return MANUAL.replace('https://your-konversio-instance.com', url).replace('YOUR_INBOX_TOKEN', websiteToken)
}

/** What a policy calls the script in it, so that it may run as it is. */
export function hashSource(snippet: string): string {
  const script = snippet.replace(/^<script>|<\/script>$/g, '')
  return `'sha256-${createHash('sha256').update(script).digest('base64')}'`
}
