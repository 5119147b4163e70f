/** The page begins here: the survey of a conversation, or the widget. */
import { mount } from 'svelte'
import App from './App.svelte'
import { readBoot } from './core/boot'
import { start } from './state/session'
import './style.css'

void begin(document.getElementById('app')!)

/** Not awaited by this module: what is fetched here needs this module, and would wait for it for ever. */
async function begin(target: HTMLElement): Promise<void> {
  const boot = readBoot()
  if (boot.survey) {
    const { default: SurveyPage } = await import('./survey/SurveyPage.svelte')
    mount(SurveyPage, { target, props: { survey: boot.survey } })
  } else if (boot.channel) {
    await start(boot, boot.channel)
    mount(App, { target })
  }
}
