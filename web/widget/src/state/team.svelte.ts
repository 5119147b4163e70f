/** Who answers, and whether somebody is there. */
import { api } from '../core/api'
import { isWithinHours, nextOpening } from '../core/hours'
import type { Agent, Campaign } from '../core/types'
import { settings } from './settings.svelte'

class Team {
  agents = $state.raw<Agent[]>([])
  #now = $state.raw(new Date())

  constructor() {
    setInterval(() => (this.#now = new Date()), 60_000)
  }

  online = $derived(this.agents.filter((agent) => agent.availability_status === 'online'))
  isWithinHours = $derived(isWithinHours(settings.channel, this.#now))
  isAvailable = $derived(this.isWithinHours && this.online.length > 0)
  nextOpening = $derived(this.isWithinHours ? null : nextOpening(settings.channel, this.#now))

  async load(): Promise<void> {
    this.agents = (await api.agents()).payload
  }

  /** Whether a campaign may greet now. */
  isCampaignTime(campaign: Campaign): boolean {
    return this.isWithinHours || !campaign.trigger_only_during_business_hours
  }

  /** Whoever is not listed is away. */
  setPresence(users: Record<string, string>): void {
    this.agents = this.agents.map((agent) => ({ ...agent, availability_status: users[String(agent.id)] ?? 'offline' }))
  }
}

export const team = new Team()
