/** The page begins here: the survey of a conversation, or the widget. */
import { mount } from 'svelte'
import App from './App.svelte'
import { readBoot } from './core/boot'
import { start } from './state/session'
import './style.css'

const boot = readBoot()
const target = document.getElementById('app')!

if (boot.survey) {
  const { default: SurveyPage } = await import('./survey/SurveyPage.svelte')
  mount(SurveyPage, { target, props: { survey: boot.survey } })
} else if (boot.channel) {
  await start(boot, boot.channel)
  mount(App, { target })
}
